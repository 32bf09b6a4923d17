"""synthct: self-configuring MR-to-CT synthesis for MR-only radiotherapy."""

__version__ = "0.1.0"
