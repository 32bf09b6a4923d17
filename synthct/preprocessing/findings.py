"""What preprocessing saw in a case, and what in it looks wrong: sentences and facts for the preprocessing report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import SimpleITK as sitk

from synthct.counted import first_of
from synthct.dataset.images import CaseImages, HeadMasks
from synthct.dataset.registration_record import Registration
from synthct.files import write_json
from synthct.imaging.coding import MrWindow
from synthct.imaging.geometry import Grid, known_region, oblique_degrees, orientation_code, resample
from synthct.imaging.head_mask import mask_flags, volume_litres
from synthct.json_dataclasses import to_plain
from synthct.planning.fingerprint import Fingerprint, VolumeFacts
from synthct.preprocessing.case import mr_statistics

MIN_DICE = 0.85  # of the heads of a registered pair
MIN_CT_SHARE = 0.75  # of the head in the MR, within the CT's field of view
MIN_WINDOW_SHARE = 0.25  # of a window that the head's intensities fill
MAX_SATURATED = 0.10  # of the head, above a window
MIN_GIVEN = 0.5  # of the found head, within a mask that the user gave
COARSER = 1.5  # times the dataset's median voxel edge
WORKING_SPACING_MM = 3.0  # heads are compared at about this spacing


@dataclass(frozen=True)
class Findings:
    """What preprocessing saw in one case; saved as JSON beside the case's picture.

    Attributes:
        patient: the case id.
        flags: a sentence each; empty where nothing looks wrong.
        facts: name with unit -> value, in the order to be shown. Names of what belongs to one image begin with ``MR``
            or ``CT``.
    """

    patient: str
    flags: tuple[str, ...]
    facts: dict[str, str | float]

    def has(self, scan: str) -> bool:
        """Whether the case has an ``MR`` or a ``CT``."""
        return any(name.startswith(f"{scan} ") for name in self.facts)

    @property
    def paired(self) -> bool:
        """Whether it has both, in one place."""
        return self.facts.get("Paired") == "yes"


def findings_of_case(
    images: CaseImages,
    masks: HeadMasks,
    mr_windows: Sequence[MrWindow],
    ct_window_hu: tuple[float, float],
    *,
    heads: HeadMasks | None = None,
    registration: Registration | None = None,
) -> Findings:
    """All facts and flags of a case: a flag more is a line more here.

    Args:
        images: of one patient.
        masks: what is trained on; codings take their statistics from it.
        heads: found in the images, whose shape and content are judged; ``masks`` by default.
        mr_windows: that a method will see the MR in, one a channel.
        ct_window_hu: likewise.
        registration: of the CT to the MR; None without one.
    """
    flags: list[str] = []
    facts: dict[str, str | float] = {}
    paired = bool(images.mr) and images.ct is not None
    heads = heads or masks
    dice, ct_share = _agreement(heads) if paired and images.aligned else (1.0, 1.0)
    for scan, image, mask in (("MR", images.mr[0] if images.mr else None, heads.mr), ("CT", images.ct, heads.ct)):
        if image is not None and mask is not None:
            facts |= _geometry_facts(scan, image)
            facts[f"{scan} head (L)"] = round(volume_litres(mask), 2)
            if scan == "MR" or ct_share >= MIN_CT_SHARE:  # a head cut by the field of view is reported below
                flags += _mask_flags(scan, mask)
    for number, (mr, window) in enumerate(zip(images.mr, mr_windows)):
        channel = f" of channel {number}" if len(images.mr) > 1 else ""
        low, high = window.in_force(mr_statistics(mr, masks.the_mr))
        facts[f"MR window{channel}"] = f"{low:.4g} to {high:.4g}"
        flags += _window_flags(mr, heads.the_mr, (low, high), channel)
    if images.ct is not None:
        facts["CT window"] = "{:g} to {:g} HU".format(*ct_window_hu)
    if paired and images.aligned:
        facts["Paired"] = "yes"
        facts["Dice of the heads"] = round(dice, 3)
        facts["CT covers MR's head (%)"] = round(100 * ct_share, 1)
        flags += _pair_flags(dice, ct_share, registration)
    elif paired:
        facts["Paired"] = "no, not aligned"
        flags.append("MR and CT are not aligned: their registration failed. Both are used, but not as a pair.")
    if registration is not None:
        facts |= _registration_facts(registration)
        flags += [f"Registration: {objection}." for objection in registration.problems_found]
    if images.given_mask is not None:
        facts["Head mask"] = "given in masksTr"
        flags += _given_mask_flags(masks, heads)
    return Findings(images.patient, tuple(flags), facts)


def _geometry_facts(scan: str, image: sitk.Image) -> dict[str, str | float]:
    extent = np.multiply(image.GetSize(), image.GetSpacing())
    oblique = oblique_degrees(image)
    tilt = f", oblique by {oblique:.1f}°" if oblique >= 0.1 else ""
    return {
        f"{scan} voxels": " x ".join(map(str, image.GetSize())),
        f"{scan} spacing (mm)": " x ".join(f"{value:.3g}" for value in image.GetSpacing()),
        f"{scan} field of view (mm)": " x ".join(f"{value:.0f}" for value in extent),
        f"{scan} orientation": orientation_code(image) + tilt,
    }


def _mask_flags(scan: str, mask: sitk.Image) -> list[str]:
    doubts = mask_flags(mask)
    if not doubts:
        return []
    return [
        f"{scan}: {'; '.join(doubts)}. Look at the outline; a mask of your own in masksTr takes its place.",
    ]


def _given_mask_flags(masks: HeadMasks, heads: HeadMasks) -> list[str]:
    """Whether a given mask leaves out most of the head, which may be wanted."""
    for scan, mask, head in (("MR", masks.mr, heads.mr), ("CT", masks.ct, heads.ct)):
        if head is not None:
            inside, whole = volume_litres(mask & head), volume_litres(head)
            if inside < MIN_GIVEN * whole:
                share = 100 * inside / whole
                return [f"The mask in masksTr holds {share:.0f} % of the head in the {scan}: no more is trained on."]
            return []
    return []


def _window_flags(mr: sitk.Image, mask: sitk.Image, window: tuple[float, float], channel: str) -> list[str]:
    """Whether a window shows the head: one of fixed scanner units may not fit a scanner."""
    values, head = (sitk.GetArrayViewFromImage(image)[::2, ::2, ::2] for image in (mr, mask))  # an eighth is enough
    inside = values[head > 0]
    if inside.size == 0:
        return []
    low, high = window
    dark, bright = np.percentile(inside, (1, 99))
    filled = (min(bright, high) - max(dark, low)) / (high - low)
    saturated = float((inside > high).mean())
    words = f"the MR window in force{channel}, {low:.4g} to {high:.4g}"
    if filled < MIN_WINDOW_SHARE:
        return [f"The head fills only {100 * max(filled, 0):.0f} % of {words}: it has little contrast in it."]
    if saturated > MAX_SATURATED:
        return [f"{100 * saturated:.0f} % of the head is brighter than {words}: it is all white there."]
    return []


def _registration_facts(registration: Registration) -> dict[str, str | float]:
    facts: dict[str, str | float] = {"Registration": registration.status}
    if registration.alignment is not None:
        facts["CT moved (mm)"] = round(registration.alignment.shift_mm, 1)
        facts["CT turned (°)"] = round(registration.alignment.rotation_deg, 1)
        facts["Bone is darker (probability)"] = round(registration.alignment.bone_darker_probability, 2)
    return facts


def _pair_flags(dice: float, ct_share: float, registration: Registration | None) -> list[str]:
    flags = []
    if dice < MIN_DICE:
        ask = "are they registered? Run with --register auto." if registration is None else "is one outline wrong?"
        flags.append(f"The heads in MR and CT agree only by Dice {dice:.2f}: {ask}")
    if ct_share < MIN_CT_SHARE:
        flags.append(
            f"The CT covers only {100 * ct_share:.0f} % of the head in the MR: what lies outside is unknown, and "
            "neither learnt from as a pair nor scored."
        )
    return flags


def _agreement(masks: HeadMasks) -> tuple[float, float]:
    """Dice of the two heads where both images are known, and the share of the MR's head that the CT shows."""
    steps = [max(1, round(WORKING_SPACING_MM / spacing)) for spacing in masks.the_mr.GetSpacing()]
    coarse = masks.the_mr[:: steps[0], :: steps[1], :: steps[2]]  # known everywhere: it is the MR's own grid
    grid = Grid.of(coarse)
    mr = sitk.GetArrayFromImage(coarse) > 0
    ct = sitk.GetArrayFromImage(resample(masks.the_ct, grid, interpolation="nearest")) > 0
    known = sitk.GetArrayFromImage(known_region(masks.the_ct, grid)) > 0
    shown = int((mr & known).sum())
    dice = 2 * float((mr & ct).sum()) / max(1, shown + int(ct.sum()))
    return dice, shown / max(1, int(mr.sum()))


# -- the dataset -----------------------------------------------------------------------------------------------------


def hints_of_dataset(fingerprint: Fingerprint) -> tuple[str, ...]:
    """What is worth knowing of a dataset as a whole, a sentence each."""
    cases = fingerprint.cases
    hints = []
    n_pairs = sum(case.paired for case in cases.values())
    failed = [patient for patient, case in cases.items() if case.mr and case.ct and not case.aligned]
    if n_pairs == 0 and failed:
        hints.append(no_pair_left(len(failed)))
    elif n_pairs == 0:
        hints.append(
            "No patient has both an MR and a CT: unet_unpaired and cyclegan train on them; paired methods and "
            "evaluation need pairs."
        )
    for scan, volumes in (
        ("MR", {patient: case.mr[0] for patient, case in cases.items() if case.mr}),
        ("CT", {patient: case.ct for patient, case in cases.items() if case.ct}),
    ):
        hints += _coarse_hints(scan, volumes)
    return tuple(hints)


def no_pair_left(n_failed: int) -> str:
    """What is to be done where the registration of every patient with both scans failed; some sentences."""
    return (
        f"NO PAIR IS LEFT: the registration of CT to MR failed in all {n_failed} patients who have both. unet, "
        "pix2pix and the other paired trainers cannot be trained, and there is no MAE of held-out patients and no "
        "evaluation; cyclegan trains on the scans as if they were of different patients. Look at the pictures of the "
        "preprocessing report: where the scans lie on each other in the files, use --register off; where a head's "
        "outline is wrong, put a mask of it into masksTr; else put a right transform into registrations/PATIENT.tfm; "
        "and run synthct_plan_and_preprocess again."
    )


def _coarse_hints(scan: str, volumes: dict[str, VolumeFacts]) -> list[str]:
    thickest = {patient: max(volume.spacing_mm_xyz) for patient, volume in volumes.items()}
    usual = median(thickest.values()) if thickest else 0
    coarse = [patient for patient, edge in thickest.items() if edge > COARSER * usual]
    if not coarse:
        return []
    edges = [thickest[patient] for patient in coarse]
    span = f"{min(edges):.3g}" if min(edges) == max(edges) else f"{min(edges):.3g} to {max(edges):.3g}"
    return [
        f"{scan} voxels are up to {span} mm long in {first_of(coarse)}, against {usual:.3g} mm in the median case: "
        "a model learns the blur of coarse scans too."
    ]


# -- on disk ---------------------------------------------------------------------------------------------------------


def save_findings(findings: Findings, path: Path, made_from: str) -> None:
    """Write findings as JSON; ``made_from`` is the key by which they are known again."""
    write_json({"made_from": made_from} | to_plain(findings), path)


def load_findings(path: Path) -> tuple[Findings, str] | None:
    """Findings and what they were made from; None where there is no file that this version understands."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        findings = Findings(content["patient"], tuple(content["flags"]), dict(content["facts"]))
        return findings, content["made_from"]
    except (OSError, ValueError, KeyError, TypeError):  # missing, or damaged anywhere
        return None
