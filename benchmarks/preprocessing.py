"""A pair of volumes to network-ready slices, the head masks being known: the product beside nnU-Net v2's way.

    python -m benchmarks.preprocessing                    voxels of 1.15 x 1.00 x 1.00 mm, as many an MR has
    python -m benchmarks.preprocessing --voxel_scale 1    the paper's own voxels: the first resize does nothing

Textbook: orient, resample the volume with scikit-image in order 3 (nnU-Net's default), resize the slices in order 3,
then the windows.
"""

from __future__ import annotations

import argparse

import numpy as np
import SimpleITK as sitk
from skimage.transform import resize

from benchmarks.rounds import WAYS, Action, compare, memory_of_both, show
from synthct.dataset.images import CaseImages, head_masks
from synthct.imaging.geometry import Grid, reorient, resample
from synthct.imaging.intensity import to_grey_levels
from synthct.phantom import make_phantom_patient
from synthct.planning.configurations import reference_configuration
from synthct.preprocessing.case import slices_of_case

CT_WINDOW_HU = (-600.0, 1400.0)


def textbook(images: CaseImages) -> list[np.ndarray]:
    """Grey slices of MR and CT, in several interpolations."""
    plan = reference_configuration(1).preprocessing
    mr = reorient(images.mr[0], "PIR")
    ct = reorient(resample(images.ct, Grid.of(images.mr[0]), outside=-1000), "PIR")
    slices = []
    for volume, window in ((mr, (0.0, 3500.0)), (ct, CT_WINDOW_HU)):
        array = sitk.GetArrayFromImage(volume).astype(np.float32)
        extent = np.multiply(array.shape, volume.GetSpacing()[::-1])
        shape = np.round(extent / plan.spacing_mm).astype(int)
        array = resize(array, shape, order=3, mode="edge", anti_aliasing=False)
        in_plane = np.round(shape[1:] / plan.slice_scale).astype(int)
        array = np.stack(
            [resize(slice_image, in_plane, order=3, mode="edge", anti_aliasing=False) for slice_image in array]
        )
        slices.append(to_grey_levels(array, window))
    return slices


def prepare(way: str, voxel_scale: float) -> Action:
    """A phantom's images, with their head masks, to slices."""
    patient = make_phantom_patient(0, voxel_scale=voxel_scale)
    images = CaseImages("benchmark", (patient.mr,), patient.ct)
    if way == "textbook":
        return lambda: textbook(images)
    masks, plan = head_masks(images), reference_configuration(1).preprocessing
    return lambda: slices_of_case(images, plan, masks)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxel_scale", type=float, default=1.15)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    patient = make_phantom_patient(0, voxel_scale=arguments.voxel_scale)
    work = "MR {} and CT {} to slices".format(*(" x ".join(map(str, i.GetSize())) for i in (patient.mr, patient.ct)))
    ways = [prepare(way, arguments.voxel_scale) for way in WAYS]
    memory = memory_of_both(prepare, arguments.voxel_scale)
    show([compare(work, *ways, rounds=arguments.rounds, memory_gib=memory)])


if __name__ == "__main__":
    main()
