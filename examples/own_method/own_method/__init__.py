"""An example of what another package can add to synthct: a trainer, a metric and a configuration."""
