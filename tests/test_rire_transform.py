"""RIRE's eight-point format."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import make_grid

from benchmarks.rire_transform import EightPoints
from synthct.errors import ImageError
from synthct.imaging.geometry import Grid

TRUTH = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.05, (4.0, -7.0, 12.0))  # CT to MR along the images' axes


def empty_image(grid: Grid) -> sitk.Image:
    return grid.place(np.zeros(grid.array_shape, np.uint8))


CT = empty_image(make_grid((40, 50, 20), (2.0, 2.0, 5.0)))
MR = empty_image(make_grid((50, 60, 30), (3.0, 3.0, 3.0), "PIR", (5, 5, 5)))


def eight_points(path, *, scale: float = 1.0, rows: int = 8):
    last = [(n - 1) * s for n, s in zip(CT.GetSize(), CT.GetSpacing())]
    lines = ["Patient number: 007", "From: CT", "To: mr_T1", "", "Point      x          y          z        new_x"]
    corners = [(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)][:rows]
    for number, corner in enumerate(corners, start=1):
        point = tuple(c * last_index for c, last_index in zip(corner, last))
        moved = np.multiply(TRUTH.TransformPoint(point), scale)
        lines.append(f"  {number} " + " ".join(f"{value:10.4f}" for value in (*point, *moved)))
    path.write_text("\n".join(lines))
    return path


def test_points_are_in_mm_along_each_images_axes_from_its_first_voxel(tmp_path):
    points = EightPoints.load(eight_points(tmp_path / "ct_T1.standard"))
    assert (points.patient, points.from_image, points.to_image) == ("007", "CT", "mr_T1")
    transform = points.transform(CT, MR)
    index = (10, 20, 5)
    along_ct = np.multiply(index, CT.GetSpacing())
    along_mr = np.array(TRUTH.TransformPoint(along_ct.tolist()))
    expected = MR.TransformContinuousIndexToPhysicalPoint((along_mr / MR.GetSpacing()).tolist())
    assert transform.TransformPoint(CT.TransformIndexToPhysicalPoint(index)) == pytest.approx(expected, abs=1e-3)


def test_a_file_with_points_missing_is_an_error(tmp_path):
    with pytest.raises(ImageError, match="holds 7 of RIRE's eight points"):
        EightPoints.load(eight_points(tmp_path / "short.standard", rows=7))


def test_points_that_are_stretched_are_an_error(tmp_path):
    with pytest.raises(ImageError, match="does not move its points rigidly"):
        EightPoints.load(eight_points(tmp_path / "stretched.standard", scale=1.01))
