"""The cached, network-ready slices of one case: ``<configuration>/<patient>.npz``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthct.errors import PlanError
from synthct.files import written_whole

# The bits of ``SliceStack.regions``.
HEAD = 1  # inside the head
MR_KNOWN = 2  # inside the MR's field of view
CT_KNOWN = 4  # inside the CT's field of view


@dataclass(frozen=True)
class SliceStack:
    """Slices of one patient on one grid, both modalities in the same place where there are both.

    Attributes:
        patient: the case id.
        mr: uint8 grey levels (channels, slices, rows, cols), 0 outside the head; None without an MR.
        ct: uint8 grey levels (slices, rows, cols), 0 outside the head; None without a CT.
        regions: uint8 bits HEAD, MR_KNOWN, CT_KNOWN (slices, rows, cols).
        info: plain values for JSON: the slice grid, the windows in force, what the slices were made from.
    """

    patient: str
    mr: np.ndarray | None
    ct: np.ndarray | None
    regions: np.ndarray
    info: dict[str, Any]

    def head_fraction(self, known: int) -> np.ndarray:
        """Share of each slice's pixels that are head and ``known`` (MR_KNOWN or CT_KNOWN); float (slices,)."""
        wanted = HEAD | known
        return ((self.regions & wanted) == wanted).mean(axis=(1, 2))

    def save(self, path: Path) -> None:
        """Write a compressed npz, whole or not at all."""
        arrays = {"regions": self.regions, "info": np.frombuffer(json.dumps(self.info).encode(), np.uint8)}
        if self.mr is not None:
            arrays["mr"] = self.mr
        if self.ct is not None:
            arrays["ct"] = self.ct
        with written_whole(path) as temporary:
            with open(temporary, "wb") as file:
                np.savez_compressed(file, **arrays)

    @staticmethod
    def load(path: Path) -> SliceStack:
        """Read a stack.

        Raises:
            PlanError: where the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return SliceStack(
                    patient=Path(path).stem,
                    mr=arrays["mr"] if "mr" in arrays else None,
                    ct=arrays["ct"] if "ct" in arrays else None,
                    regions=arrays["regions"],
                    info=json.loads(arrays["info"].tobytes()),
                )
        except FileNotFoundError:
            raise PlanError(
                f"{path} is missing; run synthct_plan_and_preprocess for the configuration {Path(path).parent.name}."
            ) from None
        except Exception as fault:  # numpy, zipfile and zlib raise half a dozen kinds, by the place of the damage
            reason = (str(fault).splitlines() or [type(fault).__name__])[0]
            raise PlanError(
                f"{path} is damaged ({reason}); delete it and run synthct_plan_and_preprocess again."
            ) from None

    @staticmethod
    def load_info(path: Path) -> dict[str, Any] | None:
        """The ``info`` alone, without reading the slices; None where there is no readable file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return json.loads(arrays["info"].tobytes())
        except Exception:  # missing, or damaged anywhere
            return None
