"""The plan: a frozen dataclass <-> ``plans.json`` that fully determines preprocessing, network and training."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from synthct.errors import PlanError
from synthct.files import read_json, write_json
from synthct.imaging.image_header import FILE_ENDINGS
from synthct.json_dataclasses import from_plain, is_name, shown, to_plain

FORMAT_VERSION = 1
HU_LIMITS = (-32768.0, 32767.0)  # of int16, in which HU are kept
LARGEST_INTENSITY = 1e13  # scanner units; float32 has room for their squares
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,99}", re.ASCII)
SlicePlane = Literal["sagittal", "axial", "coronal"]


@dataclass(frozen=True)
class MrWindow:
    """The MR intensities that are spread over the grey levels of one channel.

    ``fixed``: ``low`` and ``high`` are scanner units, the same for every case (the seed's [0, 3500]).
    ``percentile``: they are percentiles (0..100) of the case's own intensities inside its head mask.
    """

    kind: Literal["fixed", "percentile"]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"a window needs low < high, not [{self.low:g}, {self.high:g}]")
        if self.kind == "percentile" and not (0 <= self.low and self.high <= 100):
            raise ValueError(f"percentiles lie in 0..100, not [{self.low:g}, {self.high:g}]")
        largest = max(abs(self.low), abs(self.high))
        # Grey levels are computed in float32, of which a narrow window far from 0 leaves too few values.
        if largest > LARGEST_INTENSITY or not self.high - self.low >= max(1e-3 * largest, 1e-12):
            raise ValueError(f"a window [{self.low:g}, {self.high:g}] cannot be spread over grey levels")


@dataclass(frozen=True)
class PreprocessingPlan:
    """From volumes to slices. Orders of three and two numbers: (slices, rows, cols) and (rows, cols)."""

    slice_plane: SlicePlane
    spacing_mm: tuple[float, float, float]  # of the volume; the seed: 1.00 x 0.87 x 0.87
    slice_scale: float  # in-plane pixels that become one: the seed shrinks 288 to 256, so 288 / 256
    slice_size: tuple[int, int]  # pixels; the least size, a larger head gets a larger slice
    interpolation: Literal["linear", "bspline"]
    ct_window_hu: tuple[float, float]
    mr_windows: tuple[MrWindow, ...]  # one a channel
    grey_levels: int

    def __post_init__(self) -> None:
        if not all(0.1 <= spacing <= 20 for spacing in self.spacing_mm):
            raise ValueError(f"spacing_mm must lie between 0.1 and 20 mm, not {list(self.spacing_mm)}")
        if not 0.1 <= self.slice_scale <= 10:
            raise ValueError(f"slice_scale must lie between 0.1 and 10, not {self.slice_scale:g}")
        if not all(16 <= size <= 2048 and size % 4 == 0 for size in self.slice_size):
            raise ValueError(f"slice_size must be multiples of 4 from 16 to 2048, not {shown(list(self.slice_size))}")
        low, high = self.ct_window_hu
        if not low < high:
            raise ValueError(f"ct_window_hu needs low < high, not {list(self.ct_window_hu)}")
        if not (HU_LIMITS[0] <= low and high <= HU_LIMITS[1] and high - low >= 1):
            raise ValueError(
                f"ct_window_hu must be at least 1 HU wide and lie between {HU_LIMITS[0]:g} and {HU_LIMITS[1]:g} HU, "
                f"not {list(self.ct_window_hu)}"
            )
        if not 2 <= self.grey_levels <= 256:
            raise ValueError(f"grey_levels must lie between 2 and 256, not {shown(self.grey_levels)}")
        if not self.mr_windows:
            raise ValueError("mr_windows must hold a window a channel")

    @property
    def network_spacing_mm(self) -> tuple[float, float, float]:
        """Spacing (slices, rows, cols) of the slices that the network sees, mm."""
        slices, rows, cols = self.spacing_mm
        return slices, rows * self.slice_scale, cols * self.slice_scale


@dataclass(frozen=True)
class NetworkPlan:
    """The seed's architecture family (section 3.1); only its width and depth can be planned."""

    mr_channels: int
    base_channels: int  # of the generator; the seed: 64
    n_blocks: int  # residual blocks; the seed: 9
    discriminator_base_channels: int  # the seed: 64

    def __post_init__(self) -> None:
        for name, most in (
            ("mr_channels", 64), ("base_channels", 512), ("n_blocks", 64), ("discriminator_base_channels", 512),
        ):  # fmt: skip
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must lie between 1 and {most}, not {shown(getattr(self, name))}")


@dataclass(frozen=True)
class TrainingPlan:
    """The seed's training (sections 3 and 4)."""

    padded_size: tuple[int, int]  # pixels (rows, cols); a slice is padded to this ...
    crop_size: tuple[int, int]  # ... and a random part of this size is cropped
    min_head_fraction: float  # slices with less head than this share of their pixels are not drawn
    batch_size: int
    epochs_constant: int  # with the full learning rate
    epochs_decay: int  # linearly down to zero
    iterations_per_epoch: int | None  # None: as many as the larger domain has slices
    learning_rate: float
    adam_betas: tuple[float, float]
    lambda_cycle: float  # weight of the cycle loss (eq. 3)
    lambda_identity: float  # CycleGAN's identity loss, relative to lambda_cycle; the seed has none
    lambda_l1: float  # pix2pix: weight of the voxel-wise loss
    pool_size: int  # synthetic images that the discriminators' history holds
    precision: Literal["auto", "float32", "bfloat16"]  # auto: chosen for the device at hand
    seed: int

    def __post_init__(self) -> None:
        if not all(16 <= size <= 2048 and size % 4 == 0 for size in self.crop_size):
            raise ValueError(f"crop_size must be multiples of 4 from 16 to 2048, not {shown(list(self.crop_size))}")
        if any(padded < crop for padded, crop in zip(self.padded_size, self.crop_size)):
            raise ValueError(
                f"padded_size {shown(list(self.padded_size))} must not be below crop_size {list(self.crop_size)}"
            )
        if not all(padded <= 4096 for padded in self.padded_size):
            raise ValueError(f"padded_size must not be above 4096, not {shown(list(self.padded_size))}")
        for name, low, high in (
            ("batch_size", 1, 1024),
            ("epochs_constant", 1, 100_000),
            ("epochs_decay", 0, 100_000),
            ("iterations_per_epoch", 1, 10_000_000),
            ("lambda_cycle", 0, 1e6),
            ("lambda_identity", 0, 1e6),
            ("lambda_l1", 0, 1e6),
            ("pool_size", 0, 100_000),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:  # None: iterations of an epoch by the data
                raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {shown(value)}")
        if not 0 < self.learning_rate <= 1:
            raise ValueError(f"learning_rate must lie in (0, 1], not {self.learning_rate:g}")
        if not all(0 <= beta < 1 for beta in self.adam_betas):
            raise ValueError(f"adam_betas must lie in [0, 1), not {list(self.adam_betas)}")
        if not 0 <= self.min_head_fraction < 1:
            raise ValueError(f"min_head_fraction must lie in [0, 1), not {self.min_head_fraction:g}")

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.epochs_constant + self.epochs_decay


@dataclass(frozen=True)
class Configuration:
    """One way to train on the dataset, such as ``2d`` (the seed's network) or ``2d_lowres``."""

    preprocessing: PreprocessingPlan
    network: NetworkPlan
    training: TrainingPlan

    def __post_init__(self) -> None:
        if len(self.preprocessing.mr_windows) != self.network.mr_channels:
            raise ValueError(
                f"preprocessing.mr_windows holds {len(self.preprocessing.mr_windows)} windows "
                f"but network.mr_channels is {self.network.mr_channels}"
            )
        if any(crop > size for crop, size in zip(self.training.crop_size, self.preprocessing.slice_size)):
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
    register: Literal["off", "auto", "always"] = "off"  # CT to MR, before anything is measured; as it was asked for
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
            raise ValueError(f"dataset_name is {shown(self.dataset_name)}, which is no name of a folder")
        if not all(name and name.isprintable() for name in self.channel_names):
            raise ValueError(f"channel_names holds a name that is empty or not printable: {shown(self.channel_names)}")
        if self.file_ending not in FILE_ENDINGS:
            raise ValueError(f"file_ending must be one of {', '.join(FILE_ENDINGS)}, not {shown(self.file_ending)}")
        if not self.configurations:
            raise ValueError("configurations must hold at least one")
        for name, configuration in self.configurations.items():
            if not _NAME.fullmatch(name):  # it becomes a folder's
                raise ValueError(f"configurations holds {shown(name)}, a name that is not of letters, digits, . _ + -")
            if configuration.network.mr_channels != len(self.channel_names):
                raise ValueError(
                    f"channel_names holds {len(self.channel_names)} channel(s) "
                    f"but configurations.{name}.network.mr_channels is {configuration.network.mr_channels}"
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
        return from_plain(Plan, read_json(path, PlanError, missing="run synthct_plan_and_preprocess"), str(path))

    def save(self, path: Path) -> None:
        """Write ``plans.json``."""
        write_json(to_plain(self), path)


def check_configuration(name: str, known: Collection[str], dataset_name: str) -> None:
    """Raise PlanError where no configuration has that name, naming those that there are."""
    if name not in known:
        raise PlanError(f"The plan of {dataset_name} has no configuration '{name}'; it has {', '.join(known)}.")
