"""The plan: a frozen dataclass <-> ``plans.json`` that fully determines preprocessing, network and training."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from synthct.errors import PlanError, SynthctError
from synthct.files import read_json, write_json
from synthct.imaging.image_header import FILE_ENDINGS
from synthct.imaging.planes import PLANE_AXES, Plane, left_right_axis
from synthct.json_dataclasses import check_ranges, from_plain, is_name, shown, to_plain
from synthct.planning.plan_text import upgraded, with_differences, with_inherited

FORMAT_VERSION = 2  # 1 held what the methods are planned by among preprocessing, network and training
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class PreprocessingPlan:
    """From volumes to cached slices, whatever the method. Orders of numbers: (slices, rows, cols), (rows, cols)."""

    slice_plane: Plane  # in which slices are cached
    spacing_mm: tuple[float, float, float]  # of the volume; Wolterink et al. 2017: 1.00 x 0.87 x 0.87
    slice_scale: float  # in-plane pixels that become one: the paper shrinks 288 to 256, so 288 / 256
    slice_size: tuple[int, int]  # pixels; the least size, a larger head gets a larger slice
    interpolation: Literal["linear", "bspline"]

    def __post_init__(self) -> None:
        if not all(0.1 <= spacing <= 20 for spacing in self.spacing_mm):
            raise ValueError(f"spacing_mm must lie between 0.1 and 20 mm, not {list(self.spacing_mm)}")
        check_ranges(self, slice_scale=(0.1, 10))
        if not all(16 <= size <= 2048 and size % 4 == 0 for size in self.slice_size):
            raise ValueError(f"slice_size must be multiples of 4 from 16 to 2048, not {shown(list(self.slice_size))}")

    @property
    def network_spacing_mm(self) -> tuple[float, float, float]:
        """Spacing (slices, rows, cols) of the cached slices, mm."""
        slices, rows, cols = self.spacing_mm
        return slices, rows * self.slice_scale, cols * self.slice_scale


def voxel_mm(preprocessing: PreprocessingPlan, plane: Plane) -> tuple[float, float, float]:
    """Spacing (slices, rows, cols) of the cached voxels as slices of a plane, mm."""
    along = dict(zip(PLANE_AXES[preprocessing.slice_plane], preprocessing.network_spacing_mm))
    slices, rows, cols = (along[axis] for axis in PLANE_AXES[plane])
    return slices, rows, cols


def pixel_mm(preprocessing: PreprocessingPlan, plane: Plane) -> tuple[float, float]:
    """Spacing (rows, cols) of the cached voxels as slices of a plane, mm."""
    return voxel_mm(preprocessing, plane)[1:]


@dataclass(frozen=True)
class InputPlan:
    """What a network is shown of a case, whatever the method: slices of a plane, each with its neighbours."""

    plane: Plane  # any of the three can be drawn from the cached slices
    neighbours: int  # on each side of a slice; at the ends of the head the last slice is repeated
    mr_channels: int  # MR images of a patient

    def __post_init__(self) -> None:
        check_ranges(self, neighbours=(0, 16), mr_channels=(1, 64))

    @property
    def n_slices(self) -> int:
        """The slice and its neighbours."""
        return 2 * self.neighbours + 1

    @property
    def shows_both_sides(self) -> bool:
        """Whether an image shows left and right, so that it can be mirrored: in its slice, or in the neighbours."""
        return left_right_axis(self.plane) is not None or self.neighbours > 0

    @property
    def channels(self) -> int:
        """Of the network's input: every MR channel of the slice and of its neighbours."""
        return self.mr_channels * self.n_slices


@dataclass(frozen=True)
class TrainingPlan:
    """What the training loop does, whatever the method (defaults: Wolterink et al. 2017, section 4)."""

    padded_size: tuple[int, int]  # pixels (rows, cols); a slice is padded to this ...
    crop_size: tuple[int, int]  # ... and a random part of this size is cropped
    min_head_fraction: float  # slices with less head than this share of their pixels are not drawn
    batch_size: int
    epochs_constant: int  # with the method's full learning rate
    epochs_decay: int  # linearly down to zero
    iterations_per_epoch: int | None  # None: as many as the larger domain has slices
    precision: Literal["auto", "float32", "bfloat16"]  # auto: chosen for the device at hand
    seed: int

    def __post_init__(self) -> None:
        if not all(16 <= size <= 2048 and size % 4 == 0 for size in self.crop_size):
            raise ValueError(f"crop_size must be multiples of 4 from 16 to 2048, not {shown(list(self.crop_size))}")
        if any(padded < crop for padded, crop in zip(self.padded_size, self.crop_size)):
            raise ValueError(
                f"padded_size {shown(list(self.padded_size))} must not be below crop_size {list(self.crop_size)}"
            )
        check_ranges(
            self,
            padded_size=(16, 4096),
            batch_size=(1, 1024),
            epochs_constant=(1, 100_000),
            epochs_decay=(0, 100_000),
            iterations_per_epoch=(1, 10_000_000),  # None: by the data
            seed=(0, 2**32 - 1),
        )
        if not 0 <= self.min_head_fraction < 1:
            raise ValueError(f"min_head_fraction must lie in [0, 1), not {self.min_head_fraction:g}")

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.epochs_constant + self.epochs_decay


@dataclass(frozen=True)
class Configuration:
    """One way to train on the dataset, such as ``2d`` (the reference method's slices) or ``2d_lowres``.

    Attributes:
        network_width: share of a method's full width that its networks get where its settings are planned.
        methods: the settings of each trainer by its name, as JSON holds them; the trainer knows what they mean.
        dimensions: of what networks see: 2 slices, 3 slabs of them. It says which trainers the configuration is for.
    """

    preprocessing: PreprocessingPlan
    input: InputPlan
    training: TrainingPlan
    network_width: float = 1.0
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    dimensions: Literal[2, 3] = 2

    def __post_init__(self) -> None:
        check_ranges(self, network_width=(0.01, 10))
        if self.dimensions == 3 and self.input.neighbours:
            raise ValueError(f"input.neighbours must be 0 where dimensions is 3, not {self.input.neighbours}")
        stored = self.input.plane == self.preprocessing.slice_plane
        if stored and any(crop > size for crop, size in zip(self.training.crop_size, self.preprocessing.slice_size)):
            raise ValueError(
                f"training.crop_size {list(self.training.crop_size)} is larger than "
                f"preprocessing.slice_size {list(self.preprocessing.slice_size)}"
            )


@dataclass(frozen=True)
class Reason:
    """Why a value of the plan is what it is: the rule, and the measurement that it was applied to."""

    rule: str
    measured: Any


@dataclass(frozen=True)
class Plan:
    """All that is decided about a dataset. ``reasons`` is keyed by the dotted path of the value it explains."""

    format_version: int
    synthct_version: str
    dataset_name: str
    planner: str
    channel_names: tuple[str, ...]
    file_ending: str
    n_folds: int
    configurations: dict[str, Configuration]
    register: Literal["off", "auto", "always", "refine"] = "off"  # CT to MR, before anything is measured; as asked for
    recommended_trainer: str | None = None  # taken where none is named; plans of earlier versions recommend none
    reasons: dict[str, Reason] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(
                f"format_version is {shown(self.format_version)} but this synthct reads {FORMAT_VERSION}; "
                "update synthct, or plan the dataset again with this version"
            )
        if not 1 <= self.n_folds <= 1000:
            raise ValueError(f"n_folds must lie between 1 and 1000, not {shown(self.n_folds)}")
        if not is_name(self.dataset_name):
            raise ValueError(f"dataset_name is {shown(self.dataset_name)}, which is not a name of a folder")
        if self.recommended_trainer is not None and not is_name(self.recommended_trainer):
            raise ValueError(
                f"recommended_trainer is {shown(self.recommended_trainer)}, which is not the name of a trainer"
            )
        if not all(name and name.isprintable() for name in self.channel_names):
            raise ValueError(f"channel_names holds a name that is empty or not printable: {shown(self.channel_names)}")
        if self.file_ending not in FILE_ENDINGS:
            raise ValueError(f"file_ending must be one of {', '.join(FILE_ENDINGS)}, not {shown(self.file_ending)}")
        if not self.configurations:
            raise ValueError("configurations must hold at least one")
        for name, configuration in self.configurations.items():
            if not _NAME.fullmatch(name):  # it becomes a folder's
                raise ValueError(f"configurations holds {shown(name)}, a name that is not of letters, digits, . _ + -")
            if configuration.input.mr_channels != len(self.channel_names):
                raise ValueError(
                    f"channel_names holds {len(self.channel_names)} channel(s) "
                    f"but configurations.{name}.input.mr_channels is {configuration.input.mr_channels}"
                )

    def configuration(self, name: str) -> Configuration:
        """The configuration of that name.

        Raises:
            PlanError: naming those that there are.
        """
        check_configuration(name, self.configurations, self.dataset_name)
        return self.configurations[name]

    @staticmethod
    def load(path: Path) -> Plan:
        """Read ``plans.json``.

        Raises:
            PlanError: naming the file and the key that is missing, unknown or out of range.
        """
        plain = read_json(path, PlanError, missing="run synthct_plan_and_preprocess")
        return Plan.from_plain(plain, str(path))

    @staticmethod
    def from_plain(plain: Any, where: str, error: type[SynthctError] = PlanError) -> Plan:
        """Inverse of :meth:`to_plain`; a plan of an earlier version becomes what this version would have written.

        Raises:
            error: naming ``where`` and the key that is missing, unknown or out of range.
        """
        plain = with_inherited(upgraded(plain), where, error)
        return from_plain(Plan, plain, where, error=error)

    def to_plain(self) -> dict[str, Any]:
        """What JSON can hold; a configuration that differs little from the first says only in what."""
        return with_differences(to_plain(self))

    def save(self, path: Path) -> None:
        """Write ``plans.json``."""
        write_json(self.to_plain(), path)


def check_configuration(name: str, known: Collection[str], dataset_name: str) -> None:
    """Raise PlanError where no configuration has that name, naming those that there are."""
    if name not in known:
        raise PlanError(f"The plan of {dataset_name} has no configuration '{name}'; it has {', '.join(known)}.")
