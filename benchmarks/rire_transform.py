"""Rigid transforms in RIRE's eight-point format (Retrospective Image Registration Evaluation, Vanderbilt University).

A file gives the centres of the eight corner voxels of the *From* image, and where they lie in the *To* image, in mm
from the centre of each image's first voxel along its axes ("Protocol for Communicating Registration Transformations").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from synthct.errors import ImageError
from synthct.imaging.geometry import Grid

LARGEST_RESIDUAL_MM = 0.01  # the points are given to 0.0001 mm
_ROW = re.compile(r"\s*[1-8]" + r"\s+(-?\d+\.\d+)" * 6 + r"\s*")


@dataclass(frozen=True)
class EightPoints:
    """A transform between the two images of a patient.

    Attributes:
        patient: such as ``001``.
        from_image, to_image: their names, such as ``CT`` and ``mr_T1``.
        from_mm, to_mm: the same eight points along the axes of either image; (8, 3).
    """

    patient: str
    from_image: str
    to_image: str
    from_mm: np.ndarray
    to_mm: np.ndarray

    @staticmethod
    def load(path: Path) -> EightPoints:
        """Read a file.

        Raises:
            ImageError: it does not hold eight points, or they are not moved rigidly.
        """
        text = Path(path).read_text(encoding="latin-1")
        rows = np.array([match.groups() for line in text.splitlines() if (match := _ROW.fullmatch(line))], float)
        if len(rows) != 8:
            raise ImageError(f"{path} holds {len(rows)} of RIRE's eight points; copy it again.")
        points = EightPoints(*(_named(text, key) for key in ("Patient number", "From", "To")), rows[:, :3], rows[:, 3:])
        _, _, residual_mm = points._rigid()
        if residual_mm > LARGEST_RESIDUAL_MM:
            raise ImageError(f"{path} does not move its points rigidly (by up to {residual_mm:.3f} mm); copy it again.")
        return points

    def transform(self, from_image: sitk.Image, to_image: sitk.Image) -> sitk.VersorRigid3DTransform:
        """From physical points of the one image to physical points of the other (mm, LPS)."""
        rotation, offset, _ = self._rigid()
        source, target = Grid.of(from_image), Grid.of(to_image)
        # Physical point = origin + axes @ mm along the axes.
        matrix = target.axes @ rotation @ source.axes.T
        transform = sitk.VersorRigid3DTransform()
        transform.SetMatrix(matrix.ravel().tolist(), 1e-6)
        moved_origin = np.asarray(target.origin_mm) + target.axes @ offset
        transform.SetTranslation((moved_origin - matrix @ source.origin_mm).tolist())
        return transform

    def _rigid(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Rotation, offset (to = rotation @ from + offset) and the largest residual, mm (Kabsch 1976)."""
        middle_from, middle_to = self.from_mm.mean(axis=0), self.to_mm.mean(axis=0)
        rotation = Rotation.align_vectors(self.to_mm - middle_to, self.from_mm - middle_from)[0].as_matrix()
        offset = middle_to - rotation @ middle_from
        residual = self.from_mm @ rotation.T + offset - self.to_mm
        return rotation, offset, float(np.linalg.norm(residual, axis=1).max())


def _named(text: str, key: str) -> str:
    match = re.search(rf"^{key}:\s*(\S+)", text, re.MULTILINE)
    return match[1] if match else ""
