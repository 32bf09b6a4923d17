"""Made-up heads in sagittal slices, as they are cached: an ellipsoid of bone around a brain with an air cavity."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from synthct.imaging.coding import MrStatistics
from synthct.planning.plan import PreprocessingPlan
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack

SPACING_MM = (5.0, 5.0, 5.0)
SHAPE = (40, 50, 48)  # slices, rows, cols
PLAN = PreprocessingPlan("sagittal", SPACING_MM, 1.0, (48, 48), "linear")
VALUES = {"skin": (600, 0), "bone": (100, 900), "brain": (1000, 40), "cavity": (20, -900)}  # MR, HU


FINER = 2  # tissues are painted in voxels of half the size, and averaged


def scans(scale: float = 1.0, shift_mm: tuple[float, float, float] = (0, 0, 0)) -> tuple[np.ndarray, np.ndarray]:
    """MR and CT (2, slices, rows, cols) and the head, bool; the vertex is 15 mm below the first row."""
    middle = (100.0, 15.0 + 100.0 * scale, 120.0)
    at = [
        ((np.arange(n * FINER) + 0.5) * mm / FINER - m - s) / scale
        for n, mm, m, s in zip(SHAPE, SPACING_MM, middle, shift_mm)
    ]
    x, z, y = np.meshgrid(*at, indexing="ij", sparse=True)
    radius = np.sqrt((x / 76) ** 2 + (z / 100) ** 2 + (y / 96) ** 2)
    cavity = (np.sqrt(x**2 + (z - 30) ** 2 + (y + 45) ** 2) < 26) & (radius < 0.8)
    layers = [cavity, radius < 0.8, radius < 0.92, radius < 1]
    images = [
        _means(np.select(layers, [VALUES[name][i] for name in ("cavity", "brain", "bone", "skin")], nothing))
        for i, nothing in ((0, 0.0), (1, -1000.0))
    ]
    return np.stack(images), _means((radius < 1).astype(float)) > 0.5


def _means(fine: np.ndarray) -> np.ndarray:
    blocks = fine.reshape(SHAPE[0], FINER, SHAPE[1], FINER, SHAPE[2], FINER)
    return blocks.mean((1, 3, 5))


def head_stack(
    patient: str,
    *,
    mr: bool = True,
    ct: bool = True,
    aligned: bool = True,
    scale: float = 1.0,
    shift_mm=(0.0, 0.0, 0.0),
) -> SliceStack:
    """The cached slices of a patient; where the scans are not aligned, the MR's come first."""
    both, inside = scans(scale, shift_mm)
    images = np.where(inside, np.rint(both), OUTSIDE).astype(np.int16)
    regions = np.where(inside, HEAD, 0) | (MR_KNOWN if mr else 0) | (CT_KNOWN if ct else 0)
    info: dict = {"made_from": f"{patient}-{scale}-{shift_mm}"}
    first, second = images
    if mr and ct and not aligned:
        n, nothing = len(inside), np.full_like(first, OUTSIDE)
        first, second = np.concatenate([first, nothing]), np.concatenate([nothing, second])
        known = np.repeat([MR_KNOWN, CT_KNOWN], n)[:, None, None]
        regions = np.where(np.concatenate([inside, inside]), HEAD, 0) | known
        info["mr_slices"] = n
    return SliceStack(
        patient,
        first[None] if mr else None,
        second if ct else None,
        regions.astype(np.uint8),
        mr_steps=(1.0,) if mr else (),
        mr_statistics=(MrStatistics.of(both[0][inside].astype(np.float32)),) if mr else (),
        info=json.loads(json.dumps(info)),
    )


def save_stacks(folder: Path, *stacks: SliceStack) -> list[str]:
    """Write the stacks as a preprocessed dataset holds them; returns their patients."""
    folder.mkdir(parents=True, exist_ok=True)
    for stack in stacks:
        stack.save(folder / f"{stack.patient}.npz")
    return [stack.patient for stack in stacks]
