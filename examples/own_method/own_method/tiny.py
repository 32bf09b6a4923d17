"""A configuration of your own: very coarse slices and very small networks, for tests."""

from dataclasses import replace

from synthct.planning.plan import Configuration


def tiny(full: Configuration) -> tuple[Configuration, str]:
    """From the full-size configuration to this one, and why one would take it."""
    size = (48, 48)
    configuration = replace(
        full,
        preprocessing=replace(full.preprocessing, spacing_mm=(6.0, 5.0, 5.0), slice_size=size),
        input=replace(full.input, neighbours=1),
        training=replace(full.training, padded_size=size, crop_size=size, epochs_constant=1, epochs_decay=0),
        network_width=1 / 16,
    )
    return configuration, "seconds on a laptop's CPU"
