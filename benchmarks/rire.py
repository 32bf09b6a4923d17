"""Target registration error on a folder of RIRE data, against its bone-implanted fiducials.

    python -m benchmarks.rire FOLDER

FOLDER holds, at any depth, images named after patient and modality (``patient_001_ct.mhd``, ``training_001_mr_T1.mha``)
and the transforms of the gold standard (``ct_T1.standard``). Every transform from a CT to an MR is used. The error is
taken over the voxels of the head, thinned to 20 mm, since RIRE's own regions are not published.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from benchmarks.rire_transform import EightPoints
from synthct.commands.console import progress_bar
from synthct.errors import ImageError
from synthct.imaging.alignment import alignment_of
from synthct.imaging.geometry import block_means, mask_points
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr
from synthct.imaging.io import image_name, read_image
from synthct.imaging.registration import HeadPair, register_ct_to_mr

POINTS_APART_MM = 20.0


def find_image(folder: Path, patient: str, modality: str) -> Path | None:
    """The image of a patient whose name ends in the modality, such as ``mr_T1``."""
    wanted = re.compile(rf".*{patient}_{modality}", re.IGNORECASE)
    return next((path for path in sorted(folder.rglob("*")) if wanted.fullmatch(image_name(path) or "")), None)


def measure(ct: sitk.Image, mr: sitk.Image, standard: EightPoints) -> dict[str, float | str]:
    """Errors in mm of the registration of one pair."""
    pair = HeadPair(mr, head_mask_from_mr(mr), ct, head_mask_from_ct(ct))
    found, truth = register_ct_to_mr(pair), standard.transform(ct, mr).GetInverse()
    points = mask_points(block_means(pair.mr_mask, POINTS_APART_MM) > 0.5).tolist()
    errors = [np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p))) for p in points]
    return {
        "median, mm": float(np.median(errors)),
        "largest, mm": max(errors),
        "flagged": "; ".join(alignment_of(pair, found).problems_found()) or "no",
    }


def main() -> None:
    """Print a row a pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    standards = [EightPoints.load(path) for path in sorted(folder.rglob("*.standard"))]
    if not standards:
        raise SystemExit(f"{folder} holds no .standard file of RIRE.")
    rows = []
    for standard in progress_bar(standards, desc="Registering", unit="pair"):
        paths = [find_image(folder, standard.patient, name) for name in (standard.from_image, standard.to_image)]
        row = {"patient": standard.patient, "from": standard.from_image, "to": standard.to_image}
        missing = [name for name, path in zip((standard.from_image, standard.to_image), paths) if path is None]
        if standard.from_image.lower() != "ct":
            continue
        if missing:
            rows.append(row | {"flagged": f"not measured: there is no image of {' and '.join(missing)}"})
            continue
        try:
            rows.append(row | measure(read_image(paths[0]), read_image(paths[1]), standard))
        except ImageError as fault:
            rows.append(row | {"flagged": f"not measured: {fault}"})
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
