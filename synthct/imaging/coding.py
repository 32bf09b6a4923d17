"""Codings: HU and MR intensities <-> the numbers that a method's networks work in.

A coding is a frozen dataclass, so that it can stand in ``plans.json`` among a method's settings. It sees an image as
float32 intensities with a mask of what is inside the head and the field of view, and what was measured in the head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthct.imaging.intensity import from_grey_levels, from_network, to_grey_levels, to_network
from synthct.json_dataclasses import check_ranges

MAX_INTENSITY = 1e13  # scanner units; float32 has room for their squares
HU_LIMITS = (-32768.0, 32767.0)  # of int16, in which HU are kept
AIR_HU = -1000.0  # by the definition of HU; fills what is unknown in a CT, and an sCT outside the head
PERCENTS = np.linspace(0, 100, 201)  # at which a head's intensities are remembered


@dataclass(frozen=True, eq=False)
class MrStatistics:
    """What is known of one MR channel of a case, for codings that adapt to it.

    Attributes:
        percentiles: of the intensities inside the head, scanner units, at PERCENTS; float64 (201,).
        mean, sd: of the same.
    """

    percentiles: np.ndarray
    mean: float
    sd: float

    @staticmethod
    def of(inside: np.ndarray) -> MrStatistics:
        """Of the intensities inside a head; float (voxels,), at least one."""
        percentiles = np.percentile(inside, PERCENTS)
        return MrStatistics(percentiles, float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64)))

    def percentile(self, percent: float) -> float:
        """The intensity below which that share of the head lies; exact at multiples of 0.5 %."""
        return float(np.interp(percent, PERCENTS, self.percentiles))


@dataclass(frozen=True)
class MrWindow:
    """The MR intensities that a coding spreads over its range, of one channel.

    ``fixed``: ``low`` and ``high`` are scanner units, the same for every case ([0, 3500] in Wolterink et al. 2017).
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
        if largest > MAX_INTENSITY or not self.high - self.low >= max(1e-3 * largest, 1e-12):
            raise ValueError(f"a window [{self.low:g}, {self.high:g}] cannot be spread over grey levels")

    def in_force(self, statistics: MrStatistics) -> tuple[float, float]:
        """The intensities (low, high), scanner units, that the window means for a case."""
        if self.kind == "fixed":
            return self.low, self.high
        low, high = statistics.percentile(self.low), statistics.percentile(self.high)
        return low, max(high, low + 1e-6)

    def __str__(self) -> str:
        if self.kind == "fixed":
            return f"{self.low:g} to {self.high:g} scanner units"
        return f"percentiles {self.low:g} to {self.high:g} of each patient's head"


class Coding(ABC):
    """What a method makes of intensities before its networks see them, and of their output afterwards.

    Attributes:
        mr_outside, ct_outside: what stands outside the head and the field of view, in network units.
    """

    mr_outside: float
    ct_outside: float

    @abstractmethod
    def mr_to_network(self, mr: np.ndarray, inside: np.ndarray, statistics: Sequence[MrStatistics]) -> np.ndarray:
        """MR -> network input.

        Args:
            mr: float32 scanner units (channels, rows, cols).
            inside: bool, same shape: what is known and inside the head.
            statistics: one a channel.

        Returns:
            float32, same shape; ``mr_outside`` where not ``inside``.
        """

    @abstractmethod
    def ct_to_network(self, hu: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """CT -> what a network shall learn; float32 HU and bool (rows, cols) -> float32 (rows, cols)."""

    @abstractmethod
    def network_to_hu(self, output: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`ct_to_network` inside the head: network output -> HU; float32, any shape."""

    @property
    @abstractmethod
    def hu_range(self) -> tuple[float, float]:
        """The lowest and the highest HU that an sCT can show."""

    def expected_mr(self, n_channels: int) -> tuple[MrWindow, ...]:
        """What the coding expects of each channel; a ``fixed`` window is one that an MR of another scale misses.

        By default it takes any scale: 0th to 100th percentile.
        """
        return (MrWindow("percentile", 0, 100),) * n_channels

    def check_channels(self, n_channels: int) -> None:  # noqa: B027  most codings take any number
        """Raise ValueError where the coding does not fit an MR of that many channels."""


@dataclass(frozen=True)
class GreyLevels(Coding):
    """Grey levels uniformly distributed over windows of HU and of MR intensities, scaled to [-1, 1].

    Wolterink et al. 2017, section 4: 256 levels over [-600, 1400] HU and over [0, 3500]; in [-1, 1] images have the
    range of the generator's tanh. Outside the head both are black.
    """

    ct_window_hu: tuple[float, float] = (-600.0, 1400.0)
    mr_windows: tuple[MrWindow, ...] = (MrWindow("fixed", 0.0, 3500.0),)  # one a channel
    grey_levels: int = 256

    mr_outside = ct_outside = -1.0

    def __post_init__(self) -> None:
        low, high = self.ct_window_hu
        if not low < high:
            raise ValueError(f"ct_window_hu needs low < high, not {list(self.ct_window_hu)}")
        if not (HU_LIMITS[0] <= low and high <= HU_LIMITS[1] and high - low >= 1):
            raise ValueError(
                f"ct_window_hu must be at least 1 HU wide and lie between {HU_LIMITS[0]:g} and {HU_LIMITS[1]:g} HU, "
                f"not {list(self.ct_window_hu)}"
            )
        check_ranges(self, grey_levels=(2, 256))

    def mr_to_network(self, mr: np.ndarray, inside: np.ndarray, statistics: Sequence[MrStatistics]) -> np.ndarray:
        channels = zip(mr, inside, self.mr_windows, statistics)
        return np.stack([self._coded(channel, seen, window.in_force(of)) for channel, seen, window, of in channels])

    def ct_to_network(self, hu: np.ndarray, inside: np.ndarray) -> np.ndarray:
        return self._coded(hu, inside, self.ct_window_hu)

    def network_to_hu(self, output: np.ndarray) -> np.ndarray:
        return from_grey_levels(from_network(output, self.grey_levels), self.ct_window_hu, self.grey_levels)

    @property
    def hu_range(self) -> tuple[float, float]:
        return self.ct_window_hu

    def expected_mr(self, n_channels: int) -> tuple[MrWindow, ...]:
        return self.mr_windows

    def check_channels(self, n_channels: int) -> None:
        if len(self.mr_windows) != n_channels:
            raise ValueError(f"mr_windows holds {len(self.mr_windows)} windows for {n_channels} MR channel(s)")

    def _coded(self, image: np.ndarray, inside: np.ndarray, window: tuple[float, float]) -> np.ndarray:
        grey = to_grey_levels(image, window, self.grey_levels)
        grey *= inside
        return to_network(grey, self.grey_levels)


@dataclass(frozen=True)
class Standardised(Coding):
    """MR: SDs from the mean of the case's head. CT: HU in thousands, from air to metal, neither windowed nor in levels.

    For networks with a linear output. MR intensities beyond the percentiles are clipped, so that a few bright voxels,
    such as vessels and artefacts, do not decide the scale.
    """

    hu_low: float = -1024.0  # what an sCT cannot go below ...
    hu_high: float = 3071.0  # ... and beyond: the range that DICOM CT has in 12 bits
    mr_percentiles: tuple[float, float] = (0.5, 99.5)

    mr_outside, ct_outside = -2.0, -1.0

    def __post_init__(self) -> None:
        if not HU_LIMITS[0] <= self.hu_low < self.hu_high <= HU_LIMITS[1]:
            raise ValueError(f"hu_low must be below hu_high, not {self.hu_low:g} and {self.hu_high:g}")
        check_ranges(self, mr_percentiles=(0, 100))
        if not self.mr_percentiles[0] < self.mr_percentiles[1]:
            raise ValueError(f"mr_percentiles needs low < high, not {list(self.mr_percentiles)}")

    def mr_to_network(self, mr: np.ndarray, inside: np.ndarray, statistics: Sequence[MrStatistics]) -> np.ndarray:
        coded = []
        for channel, seen, of in zip(mr, inside, statistics):
            low, high = (of.percentile(percent) for percent in self.mr_percentiles)
            clipped = (np.clip(channel, low, high) - np.float32(of.mean)) * np.float32(
                1 / max(of.sd, 1e-6 * high, 1e-20)
            )
            coded.append(np.where(seen, clipped, np.float32(self.mr_outside)))
        return np.stack(coded).astype(np.float32, copy=False)

    def ct_to_network(self, hu: np.ndarray, inside: np.ndarray) -> np.ndarray:
        coded = np.clip(hu, self.hu_low, self.hu_high) * np.float32(1e-3)
        return np.where(inside, coded, np.float32(self.ct_outside))

    def network_to_hu(self, output: np.ndarray) -> np.ndarray:
        return np.clip(np.asarray(output, np.float32) * np.float32(1e3), self.hu_low, self.hu_high)

    @property
    def hu_range(self) -> tuple[float, float]:
        return self.hu_low, self.hu_high
