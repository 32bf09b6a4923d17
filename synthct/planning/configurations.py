"""The configurations that a plan holds: the full size, ``2d``, and functions from it to the others.

Each function gives a configuration and says in a sentence why one would take it. Another package adds one by naming
such a function in the entry-point group ``synthct.configurations``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from synthct.imaging.planes import PLANE_AXES, Plane
from synthct.planning import rules
from synthct.planning.plan import Configuration, InputPlan, PreprocessingPlan, TrainingPlan
from synthct.tuples import pair, triple

FULL_SIZE = "2d"
Derived = Callable[[Configuration], tuple[Configuration, str]]
NEIGHBOURS = 2  # slices on each side


def reference_configuration(n_channels: int) -> Configuration:
    """The configuration of Wolterink et al. 2017 (sections 2 to 4), for that many MR channels; no method's settings."""
    return Configuration(
        PreprocessingPlan(
            slice_plane="sagittal",
            spacing_mm=rules.REFERENCE_SPACING_MM,
            slice_scale=rules.REFERENCE_SLICE_SCALE,
            slice_size=rules.REFERENCE_SLICE_SIZE,
            interpolation="linear",
        ),
        InputPlan(plane="sagittal", neighbours=0, mr_channels=n_channels),
        TrainingPlan(
            padded_size=rules.REFERENCE_PADDED_SIZE,
            crop_size=rules.REFERENCE_SLICE_SIZE,
            min_head_fraction=0.01,
            batch_size=1,
            epochs_constant=100,
            epochs_decay=100,
            iterations_per_epoch=None,
            precision="auto",
            seed=0,
        ),
    )


def low_resolution(full: Configuration) -> tuple[Configuration, str]:
    """Half the resolution along every axis, a quarter of the width, few steps."""
    size = pair(4 * max(16, round(pixels / 8)) for pixels in full.preprocessing.slice_size)
    configuration = replace(
        full,
        preprocessing=replace(
            full.preprocessing,
            spacing_mm=triple(min(2 * spacing, 20.0) for spacing in full.preprocessing.spacing_mm),  # the plan's limit
            slice_size=size,
        ),
        training=replace(
            full.training,
            padded_size=rules.padded_size(size),
            crop_size=size,
            epochs_constant=5,
            epochs_decay=5,
            iterations_per_epoch=350,
        ),
        network_width=full.network_width / 4,
    )
    return configuration, (
        "half the resolution along every axis, a quarter of the width, few steps: minutes on a laptop's CPU"
    )


def with_neighbours(full: Configuration) -> tuple[Configuration, str]:
    """Slices with their neighbours on each side; from the same cache."""
    configuration = replace(full, input=replace(full.input, neighbours=NEIGHBOURS))
    return configuration, f"the network sees {NEIGHBOURS} neighbouring slices on each side of the one that it makes"


def axial(full: Configuration) -> tuple[Configuration, str]:
    """Axial slices, from the same cache."""
    return _in_plane(full, "axial")


def coronal(full: Configuration) -> tuple[Configuration, str]:
    """Coronal slices, from the same cache."""
    return _in_plane(full, "coronal")


def three_dimensional(full: Configuration) -> tuple[Configuration, str]:
    """Slabs of neighbouring slices for 3-D networks, from the same cache; as many steps as nnU-Net's."""
    training = replace(full.training, epochs_constant=1000, epochs_decay=0, iterations_per_epoch=250)
    configuration = replace(full, training=training, dimensions=3)
    return configuration, "patches of the same volumes for 3-D networks, on a GPU; as many steps as nnU-Net"


def all_of(*derivations: Derived) -> Derived:
    """One derivation after the other."""

    def derived(full: Configuration) -> tuple[Configuration, str]:
        reasons = []
        for derive in derivations:
            full, reason = derive(full)
            reasons.append(reason)
        return full, "; ".join(reasons)

    return derived


neighbours_axial = all_of(with_neighbours, axial)
neighbours_coronal = all_of(with_neighbours, coronal)
low_resolution_neighbours = all_of(low_resolution, with_neighbours)
low_resolution_neighbours_axial = all_of(low_resolution, with_neighbours, axial)
low_resolution_neighbours_coronal = all_of(low_resolution, with_neighbours, coronal)


def _in_plane(full: Configuration, plane: Plane) -> tuple[Configuration, str]:
    """Crops keep the pixels' number in the body; across a plane's own rows and columns they may differ."""
    pixel_mm = dict(zip(PLANE_AXES[full.preprocessing.slice_plane], full.preprocessing.network_spacing_mm))
    extent_mm = full.training.crop_size[0] * full.preprocessing.network_spacing_mm[1]
    size = pair(max(16, 4 * round(extent_mm / pixel_mm[axis] / 4)) for axis in PLANE_AXES[plane][1:])
    configuration = replace(
        full,
        input=replace(full.input, plane=plane),
        training=replace(full.training, padded_size=rules.padded_size(size), crop_size=size),
    )
    return configuration, f"{plane} slices of the same volumes, such as to combine them with those of other planes"
