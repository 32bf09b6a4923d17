"""DICOM scans of synthetic heads for ``synthct_import``, and the dataset that it makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from synthetic_dicom import NAME, SAGITTAL, straight_positions, write_series
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.dataset.integrity import check_dataset
from synthct.dataset.raw import RawDataset
from synthct.imaging.geometry import Grid

IMPORT = ("-i", "scans", "-d", "3", "--name", "Brain", "-np", "1")


def write_image(folder: Path, image: sitk.Image, intercept: int, **options) -> str:
    """An image as a series of one file a slice, along its own axes; returns its UID."""
    axes = Grid.of(image).axes
    array = sitk.GetArrayFromImage(image)
    positions = [image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(len(array))]
    return write_series(
        folder,
        (np.clip(array, intercept, 4095 + intercept) - intercept).astype(np.uint16),
        np.array(positions),
        orientation=tuple(axes[:, :2].T.ravel()),
        pixel_spacing=image.GetSpacing()[1::-1],
        rescale=(1, intercept),
        **options,
    )


def write_patient(folder: Path, patient_id: str, *, size: float = 1.0, ct_id: str | None = None) -> None:
    """A sagittal MR, an axial CT and a localizer; the folder has the patient's name."""
    home = folder / f"{NAME} {patient_id}"
    mr = sitk.DICOMOrient(head_mr(make_grid((34, 42, 42), (6.0, 6.0, 6.0)), size=size), "PIR")
    ct = head_ct(make_grid((40, 46, 42), (5.0, 5.0, 6.0), centre_mm=(3, 2, 4)), size=size)
    image_type = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    flat = np.ones((3, 4, 4), np.uint16)
    write_series(home / "1", flat, straight_positions(3, 9, SAGITTAL), modality="MR", image_type=image_type,
                 patient_id=patient_id)  # fmt: skip
    write_image(home / "2", mr, 0, modality="MR", number=2, description="T1 MPRAGE", patient_id=patient_id)
    write_image(home / "3" / "ct", ct, -1024, number=3, description="Head 5mm", patient_id=ct_id or patient_id)


def raw_dataset(checkout: Path) -> RawDataset:
    raw = RawDataset.open(checkout / "synthct_raw" / "Dataset003_Brain")
    assert not raw.problems
    check_dataset(raw)
    return raw
