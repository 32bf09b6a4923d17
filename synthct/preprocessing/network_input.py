"""The one place where network input is made: for training, validation, prediction, quality assurance and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthct.imaging.coding import Coding, MrStatistics
from synthct.planning.plan import InputPlan
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE

BOTH_KNOWN = MR_KNOWN | CT_KNOWN


class CaseSlices(Protocol):
    """Slices of one case in one plane, from memory or from a file; as :class:`SliceStack` and ``SliceReader`` have."""

    @property
    def n_slices(self) -> int: ...

    @property
    def mr_steps(self) -> Sequence[float]: ...

    @property
    def mr_statistics(self) -> Sequence[MrStatistics]: ...

    def mr_slice(self, i: int) -> np.ndarray: ...

    def ct_slice(self, i: int) -> np.ndarray: ...

    def regions_slice(self, i: int) -> np.ndarray: ...


@dataclass(frozen=True)
class NetworkInput:
    """What networks see: a slice with its neighbours, coded as the method wants it; or a slab of slices.

    Attributes:
        plan: plane and neighbours, of the configuration.
        coding: of the method.
        slab: neighbouring slices that a paired image holds, above 1 for 3-D networks.
    """

    plan: InputPlan
    coding: Coding
    slab: int = 1

    def mr(self, case: CaseSlices, i: int) -> np.ndarray:
        """The MR around a slice: float32 (channels, rows, cols), from the first neighbour to the last.

        At the ends of the head the last slice is repeated.
        """
        reach = self.plan.neighbours
        numbers = np.clip(np.arange(i - reach, i + reach + 1), 0, case.n_slices - 1)
        return np.concatenate([self._mr_of_slice(case, number) for number in numbers.tolist()])

    def ct(self, case: CaseSlices, i: int) -> np.ndarray:
        """The CT of a slice: float32 (1, rows, cols)."""
        stored = case.ct_slice(i)
        return self.coding.ct_to_network(stored.astype(np.float32), stored != OUTSIDE)[None]

    def paired(self, case: CaseSlices, i: int) -> dict[str, np.ndarray]:
        """MR and CT of the slab that a slice lies in, and where they count; float32.

        The slice is the middle one, save near the ends of the stack, where the slab ends with it. A stack of fewer
        slices is continued by its outermost ones, whose ``head`` is 0.

        Returns:
            ``mr`` (slab x channels, rows, cols), slice by slice; ``ct``, ``known`` and ``head`` (slab, rows, cols).
            ``known``: 0 where the head lies outside a scan's field of view, 1 elsewhere. ``head``: 1 inside the head
            where both are known.
        """
        spare = case.n_slices - self.slab
        first = int(np.clip(i - self.slab // 2, 0, spare)) if spare >= 0 else -(-spare // 2)
        numbers = np.arange(first, first + self.slab)
        within = np.clip(numbers, 0, case.n_slices - 1)
        slices = [self._paired_slice(case, number) for number in within.tolist()]
        images = {name: np.concatenate([slice_images[name] for slice_images in slices]) for name in slices[0]}
        images["head"][numbers != within] = 0
        return images

    def _paired_slice(self, case: CaseSlices, i: int) -> dict[str, np.ndarray]:
        regions = case.regions_slice(i)
        in_head, both = (regions & HEAD) > 0, (regions & BOTH_KNOWN) == BOTH_KNOWN
        return {
            "mr": self.mr(case, i),
            "ct": self.ct(case, i),
            "known": (~in_head | both).astype(np.float32)[None],
            "head": (in_head & both).astype(np.float32)[None],
        }

    def middle(self, mr: np.ndarray) -> np.ndarray:
        """The middle slice alone: (..., slab x channels, rows, cols) -> (..., MR channels, rows, cols)."""
        first = (self.slab // 2 + self.plan.neighbours) * self.plan.mr_channels
        return mr[..., first : first + self.plan.mr_channels, :, :]

    def shown(self, case: CaseSlices) -> np.ndarray:
        """Numbers of the slices whose MR shows anything; int (slices,).

        The others are air without doubt: of a flat image, instance norm would make noise.
        """
        outside = self.coding.mr_outside
        return np.array([i for i in range(case.n_slices) if (self._mr_of_slice(case, i) != outside).any()], int)

    def _mr_of_slice(self, case: CaseSlices, i: int) -> np.ndarray:
        stored = case.mr_slice(i)
        steps = np.asarray(case.mr_steps, np.float32)[:, None, None]
        return self.coding.mr_to_network(stored * steps, stored != OUTSIDE, case.mr_statistics)


def padded_to_multiple(image: np.ndarray, multiple: int, outside: float) -> np.ndarray:
    """(..., rows, cols) with rows below and cols to the right until both are multiples."""
    rows, cols = (-size % multiple for size in image.shape[-2:])
    if not rows and not cols:
        return image
    return np.pad(image, ((0, 0),) * (image.ndim - 2) + ((0, rows), (0, cols)), constant_values=outside)
