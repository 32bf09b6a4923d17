"""What a row of the catalogue is, the command lines, and what can be wrong with any scan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from spoil import HTML, Spoil, Where, a_folder_in_place_of, cut_off, header, holding, image, set_to, spaced, voxels


class Bad(NamedTuple):
    """One bad input."""

    name: str
    spoil: Spoil
    command: str
    names: str  # the file or option that the sentence must name
    remedy: str


PLANNING = "plan_and_preprocess -d 1 -c 2d_lowres -np 1"
TRAINING = "train 1 cyclegan -c 2d_lowres --epochs 1 --iterations 1 -device cpu --loaders 0"
PREDICTING = "predict -i mrs -o new_cts -device cpu"
COMPARING = "evaluate -p cts -r reference_cts -np 1"
EVALUATING = "evaluate -np 1"
IMPORTING = "import_data -i to_import -d 2 --name New -np 1"


def bad_images(where: Where, name: str, command: str, of: str) -> list[Bad]:
    """What can be wrong with any scan, wherever it is read."""
    return [
        Bad(f"{of} of zero bytes", holding(where, b""), command, name, "replace the file"),
        Bad(f"{of} that is HTML", holding(where, HTML), command, name, "replace the file"),
        Bad(f"{of} cut off", cut_off(where), command, name, "copy it again"),
        Bad(f"{of} cut off near its end", cut_off(where, 0.999), command, name, "copy it again"),
        Bad(f"{of} that is a folder", a_folder_in_place_of(where), command, name, "put the image there"),
        Bad(f"{of} in 2-D", image(where, lambda one: one[:, :, 5]), command, name, "3-D volume"),
        Bad(
            f"{of} in 4-D",
            image(where, lambda one: sitk.JoinSeries([one, one])),
            command,
            name,
            "save one 3-D volume a file",
        ),
        Bad(f"{of} in RGB", image(where, lambda one: sitk.Compose(one, one, one)), command, name, "save scalar"),
        Bad(
            f"{of} of complex values",
            image(where, lambda one: sitk.RealAndImaginaryToComplex(*[sitk.Cast(one, sitk.sitkFloat32)] * 2)),
            command,
            name,
            "save the magnitude",
        ),
        Bad(f"{of} with NaN", voxels(where, set_to(np.nan)), command, name, "replace them by real values"),
        Bad(f"{of} with an infinite voxel", voxels(where, set_to(np.inf)), command, name, "replace them by real"),
        Bad(f"{of} of one value", voxels(where, lambda values: 0 * values + 7), command, name, "export it again"),
        Bad(f"{of} of one slice", image(where, lambda one: one[:, :, 5:6]), command, name, "3-D volume"),
        Bad(f"{of} of huge spacing", spaced(where, 500, 500, 500), command, name, "correct its header"),
        Bad(f"{of} of tiny spacing", spaced(where, 1e-4, 1e-4, 1e-4), command, name, "correct its header"),
        Bad(f"{of} of zero spacing", header(where, (80, "3f", (0, 0, 0))), command, name, "correct its header"),
        Bad(f"{of} of negative spacing", header(where, (80, "3f", (-6, -6, -6))), command, name, "correct its header"),
        Bad(
            f"{of} of skewed axes",
            header(where, (252, "h", 0), (254, "h", 1), (280, "4f", (6, 3, 0, 0)), (296, "4f", (0, 6, 0, 0))),
            command,
            name,
            "resample it",
        ),
        Bad(
            f"{of} whose qform and sform disagree",
            header(where, (252, "h", 1), (254, "h", 1), (292, "f", 80.0)),
            command,
            name,
            "sform",
        ),
        Bad(
            f"{of} that claims more voxels than it has",
            header(where, (40, "4h", (3, 30000, 30000, 30000))),
            command,
            name,
            "replace the file",
        ),
    ]
