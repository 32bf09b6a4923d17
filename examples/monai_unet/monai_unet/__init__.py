"""An example of what another package can add to synthct: a trainer around a network of MONAI."""
