"""The volumes that the report's viewer shows: whose, at which size, and how they are written into the page."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from synthct.evaluation.compared import Candidate, Compared, Reference, read_compared
from synthct.evaluation.score import Row
from synthct.imaging.axial import ALONG_BODY
from synthct.imaging.coding import AIR_HU
from synthct.imaging.geometry import Grid, Interpolation, extent_along, resample
from synthct.tuples import triple_of

SPACING_MM = 2.0
STEP_HU = 4  # HU are rounded to this: below a CT's noise, and a third smaller in the page
RANGE_HU = (-1024.0, 3071.0)
INSIDE, CT_UNKNOWN = 1, 2  # bits of the labels
_MARGIN_MM = 12.0  # around the head
_MR_LEVELS = 255


@dataclass(frozen=True)
class Volumes:
    """One patient, on one grid of 2 mm along the body axes; each volume gzip in base64, C order (z, y, x).

    x runs to the patient's left, y to the back, z to the head.

    Attributes:
        shape: (z, y, x).
        mr_range: the scanner units of MR grey 0 and 255.
        mr: uint8; None where there is none.
        ct: int16, HU / :data:`STEP_HU`.
        scts: likewise, by model.
        labels: uint8, :data:`INSIDE` where voxels were compared, :data:`CT_UNKNOWN` outside the CT's field of view.
    """

    patient: str
    shape: tuple[int, int, int]
    mr_range: tuple[float, float]
    mr: str | None
    ct: str
    scts: dict[str, str]
    labels: str

    @property
    def characters(self) -> int:
        """What they take in the page."""
        return sum(len(text) for text in (self.mr or "", self.ct, self.labels, *self.scts.values()))


def choose_patients(rows: Mapping[str, Sequence[Row]], n_patients: int) -> dict[str, str]:
    """Whose volumes are looked at first, and why: by model the worst, the median and the best; then the next worst.

    Args:
        rows: of the models.
        n_patients: at most this many.

    Returns:
        By patient, why they are there, such as ``worst with cyclegan, pix2pix``; in the order of interest.
    """
    ranked = {
        model: sorted(model_rows, key=lambda row: (-row.metrics["mae_hu"], row.patient))
        for model, model_rows in rows.items()
        if model_rows
    }
    reasons: dict[str, dict[str, list[str]]] = {}  # models by place and patient
    for word, place in (("worst", lambda n: 0), ("median", lambda n: n // 2), ("best", lambda n: n - 1)):
        for model, model_rows in ranked.items():
            patient = model_rows[place(len(model_rows))].patient
            reasons.setdefault(patient, {}).setdefault(word, []).append(model)
    for i in range(max(map(len, ranked.values()), default=0)):
        for model, model_rows in ranked.items():
            if i < len(model_rows) and model_rows[i].patient not in reasons:
                reasons[model_rows[i].patient] = {f"no. {i + 1} of the worst": [model]}
    in_words = {
        patient: "; ".join(f"{word} with {', '.join(models)}" for word, models in by_place.items())
        for patient, by_place in reasons.items()
    }
    return {patient: in_words[patient] for patient in list(in_words)[:n_patients]}


def within(volumes: Sequence[Volumes], characters: int) -> list[Volumes]:
    """Those that fit, in their order; at least none."""
    kept: list[Volumes] = []
    left = characters
    for patient_volumes in volumes:
        if patient_volumes.characters <= left:
            kept.append(patient_volumes)
            left -= patient_volumes.characters
    return kept


def read_volumes(reference: Reference, candidates: Mapping[str, Candidate]) -> Volumes:
    """Read one patient's volumes again, on the viewer's grid and cropped to the head; constant sCTs are left out."""
    return embed(reference.patient, read_compared(reference, candidates))


def embed(patient: str, compared: Compared) -> Volumes:
    """See :class:`Volumes`."""
    grid = _viewer_grid(compared.mask)
    inside = _sample(compared.mask, grid, interpolation="nearest") > 0
    known = _sample(compared.ct_known, grid, interpolation="nearest") > 0
    labels = (inside * INSIDE + ~known * CT_UNKNOWN).astype(np.uint8)
    mr, mr_range = None, (0.0, 1.0)
    if compared.mr is not None:
        values = _sample(compared.mr, grid)
        low, high = np.percentile(values[inside] if inside.any() else values, [0.5, 99.8])
        low = min(float(low), 0.0)
        mr_range = (low, max(float(high), low + 1.0))
        mr = np.rint((values - low) / (mr_range[1] - low) * _MR_LEVELS).clip(0, _MR_LEVELS).astype(np.uint8)
    return Volumes(
        patient,
        grid.array_shape,
        mr_range,
        None if mr is None else _encoded(mr),
        _encoded(_steps(_sample(compared.ct, grid, outside=AIR_HU))),
        {label: _encoded(_steps(_sample(sct, grid, outside=AIR_HU))) for label, sct in compared.scts.items()},
        _encoded(labels),
    )


def _viewer_grid(mask: sitk.Image) -> Grid:
    """Along the body axes, whatever the image's are, around the mask."""
    low, high = extent_along(mask, np.eye(3))
    low, high = low - _MARGIN_MM, high + _MARGIN_MM
    size = np.maximum(np.ceil((high - low) / SPACING_MM), 1).astype(int)
    origin = (low + high) / 2 - (size - 1) / 2 * SPACING_MM
    return Grid(triple_of(map(int, size)), (SPACING_MM,) * 3, triple_of(map(float, origin)), ALONG_BODY)


def _sample(
    image: sitk.Image, grid: Grid, *, interpolation: Interpolation = "linear", outside: float = 0.0
) -> np.ndarray:
    return sitk.GetArrayFromImage(resample(image, grid, interpolation=interpolation, outside=outside))


def _steps(hu: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(hu, *RANGE_HU) / STEP_HU).astype("<i2")


def _encoded(volume: np.ndarray) -> str:
    return base64.b64encode(gzip.compress(volume.tobytes(), compresslevel=9, mtime=0)).decode("ascii")
