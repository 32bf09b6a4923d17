"""How well the head is found in phantoms with what real scans carry, against the truth of the phantom.

    python -m benchmarks.head_masks                       3 patients, voxels of about 2 mm (five minutes)
    python -m benchmarks.head_masks --patients 1 --voxel_scale 3

Dice inside the scan's field of view, the share of nose and ears that the mask holds (worst patient and median of each
condition), and how many masks are flagged as implausible: all whose skin is cut should be, and no other. The last lines
are time and memory of one pair in voxels of the phantom's own size.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from benchmarks.rounds import peak_memory_gib
from synthct.imaging.geometry import bounding_box, reorient
from synthct.imaging.head_mask import head_mask_from_ct, head_mask_from_mr, mask_flags
from synthct.imaging.morphology import dilated, eroded
from synthct.phantom import FLAIR, PROTON_DENSITY, T1_INVERSION, T2, PhantomPatient, make_phantom_patient

STRONG_BIAS = 0.35  # a factor of four between places, and a quarter of the signal at the neck
SCANS: dict[tuple[str, str], dict] = {
    ("T1 gradient echo", "couch, thermoplastic mask 1 mm off the skin"): {},
    ("T1 after inversion", "couch, mask pressed on the skin, 6 fillings"): {
        "contrast": T1_INVERSION,
        "mask_lift_mm": 0.0,
        "fillings": 6,
    },
    ("T2", "head holder, strap, 4 fillings"): {
        "contrast": T2,
        "head_holder": True,
        "table": False,
        "thermoplastic_mask": False,
        "fillings": 4,
    },
    ("FLAIR", "couch alone"): {"contrast": FLAIR, "thermoplastic_mask": False},
    ("proton density", "couch, head holder, strap"): {
        "contrast": PROTON_DENSITY,
        "head_holder": True,
        "thermoplastic_mask": False,
    },
    ("T1 gradient echo, strong bias", "couch, mask pressed on the skin"): {
        "bias_strength": STRONG_BIAS,
        "mask_lift_mm": 0.0,
    },
    ("T2, strong bias", "nothing but air"): {
        "contrast": T2,
        "bias_strength": STRONG_BIAS,
        "table": False,
        "thermoplastic_mask": False,
    },
}
Scan = tuple[sitk.Image, sitk.Image]  # the image and the true head


def crop(scan: Scan, **at_mm: float) -> Scan:
    """A smaller field of view, LPS: ``sides``, ``front`` or ``top`` cut the head that many mm inside its skin."""
    image, head = (reorient(volume, "LPS") for volume in scan)
    start, stop = np.zeros(3, int), np.array(image.GetSize())
    box = bounding_box(head)
    depth = {name: round(mm / image.GetSpacing()["sides front top".split().index(name)]) for name, mm in at_mm.items()}
    if "sides" in depth:
        start[0], stop[0] = box[0, 0] + depth["sides"], box[0, 1] - depth["sides"]
    if "front" in depth:
        start[1] = box[1, 0] + depth["front"]
    if "top" in depth:
        stop[2] = box[2, 1] - depth["top"]
    return tuple(sitk.RegionOfInterest(v, (stop - start).tolist(), start.tolist()) for v in (image, head))


def widen(scan: Scan, air: float, outside_circle: float, width_mm: float = 480.0) -> Scan:
    """A wider axial field of view, LPS: air, and beyond the scanner's circle another value."""
    image, head = (reorient(volume, "LPS") for volume in scan)
    size, spacing = np.array(image.GetSize()), np.array(image.GetSpacing())
    margin = np.append(np.maximum(np.ceil((width_mm / spacing[:2] - size[:2]) / 2), 0), 0).astype(int).tolist()
    image, head = sitk.ConstantPad(image, margin, margin, air), sitk.ConstantPad(head, margin, margin, 0)
    values = sitk.GetArrayFromImage(image)
    y, x = np.indices(values.shape[1:])
    radius = np.hypot((x - values.shape[2] / 2) * spacing[0], (y - values.shape[1] / 2) * spacing[1])
    values[:, radius > width_mm / 2] = outside_circle
    wide = sitk.GetImageFromArray(values)
    wide.CopyInformation(image)
    return wide, head


FIELDS: dict[str, Callable[[Scan, bool], Scan]] = {
    "field 48 cm wide": lambda scan, ct: widen(scan, -1000 if ct else 0, -3024 if ct else 0),
    "skin cut at both sides": lambda scan, ct: crop(scan, sides=12.0),
    "nose cut": lambda scan, ct: crop(scan, front=15.0),
    "vertex cut": lambda scan, ct: crop(scan, top=20.0),
}


class Score(NamedTuple):
    """Dice of a mask with the true head, the share of the head's thin parts in it, whether it is flagged."""

    dice: float
    nose_and_ears: float
    flagged: bool


def score(scan: Scan, find: Callable[[sitk.Image], sitk.Image]) -> Score:
    """The mask that is found in a scan against its truth."""
    image, head = scan
    return compare(find(image), head)


def compare(mask: sitk.Image, head: sitk.Image) -> Score:
    """A mask against the true head; nose and ears are what an opening by 10 mm leaves out."""
    thin = as_bool(head) & ~as_bool(dilated(eroded(head, 10.0), 14.0))
    found, true = as_bool(mask), as_bool(head)
    dice = 2.0 * float((found & true).sum()) / float(found.sum() + true.sum())
    return Score(dice, float(found[thin].mean()) if thin.any() else 1.0, bool(mask_flags(mask)))


def as_bool(mask: sitk.Image) -> np.ndarray:
    """Array (z, y, x)."""
    return sitk.GetArrayViewFromImage(mask) > 0


def conditions(patient: PhantomPatient, mr_kind: str, ct_kind: str) -> Iterator[tuple[str, Score]]:
    """Each condition that a pair of scans gives, with its scores; fields of view are tried on the first pair alone."""
    mr, ct = (patient.mr, patient.mr_head_mask), (patient.ct, patient.ct_head_mask)
    in_mr = head_mask_from_mr(patient.mr)
    yield f"MR: {mr_kind}", compare(in_mr, patient.mr_head_mask)
    yield f"CT: {ct_kind}", score(ct, head_mask_from_ct)
    if "mask" in ct_kind:
        with_mr = head_mask_from_ct(patient.ct, mr_head_mask=in_mr)
        yield f"CT and MR: {ct_kind}", compare(with_mr, patient.ct_head_mask)
    if mr_kind == "T1 gradient echo":
        for name, see in FIELDS.items():
            yield f"MR: {mr_kind}, {name}", score(see(mr, False), head_mask_from_mr)
            yield f"CT: {ct_kind}, {name}", score(see(ct, True), head_mask_from_ct)


def show_costs() -> None:
    """Time and memory of both masks of a pair at full size."""
    patient = make_phantom_patient(0)
    masks: list[sitk.Image] = []

    def find() -> None:
        mr = head_mask_from_mr(patient.mr)
        masks[:] = [mr, head_mask_from_ct(patient.ct, mr_head_mask=mr)]

    before = peak_memory_gib(lambda: None)
    memory = peak_memory_gib(find)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        find()
        times.append(time.perf_counter() - started)
    print(f"\nBoth masks of MR {patient.mr.GetSize()} and CT {patient.ct.GetSize()}: {statistics.median(times):.1f} s")
    print(
        f"{sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()} threads, {memory - before:.2f} GiB beside the images"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=3)
    parser.add_argument("--voxel_scale", type=float, default=2.0)
    arguments = parser.parse_args()
    rows: dict[str, list[Score]] = {}
    for index in range(1, arguments.patients + 1):
        for (mr_kind, ct_kind), settings in SCANS.items():
            patient = make_phantom_patient(index, voxel_scale=arguments.voxel_scale, **settings)
            for condition, values in conditions(patient, mr_kind, ct_kind):
                rows.setdefault(condition, []).append(values)
    print("| condition | Dice: worst | median | nose and ears: worst | median | flagged |\n|---|---|---|---|---|---|")
    for condition, values in sorted(rows.items()):
        dice, thin, flagged = zip(*values)
        print(
            f"| {condition} | {min(dice):.3f} | {statistics.median(dice):.3f} "
            f"| {min(thin):.0%} | {statistics.median(thin):.0%} | {sum(flagged)} of {len(flagged)} |"
        )
    show_costs()


if __name__ == "__main__":
    main()
