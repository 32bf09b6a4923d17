"""What the quality assurance of predictions distinguishes from good MRs, and how often it doubts these.

python -m benchmarks.quality_assurance MODEL_FOLDER -np 2

The model must be trained on head phantoms (synthct_make_example) of the same --voxel_scale. New phantoms of another
seed are made; some are spoilt in one way each. The table says how many of each kind pass, are to be checked, and fail,
and which checks reported it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import SimpleITK as sitk
from tqdm import tqdm

from benchmarks.untrustworthy import (
    axes_exchanged,
    biased,
    cropped,
    flipped,
    ghosts,
    half_blank,
    noisy,
    rescaled,
    thicker,
)
from synthct.errors import SynthctError
from synthct.inference import Predictor
from synthct.parallel import CaseRunner
from synthct.phantom.patient import PhantomPatient, make_phantom_patient
from synthct.phantom.sequences import FLAIR, PROTON_DENSITY, T1_INVERSION, T2

CONTRASTS = {
    "T2-weighted": T2,
    "FLAIR": FLAIR,
    "proton density": PROTON_DENSITY,
    "T1 inversion recovery (as MPRAGE)": T1_INVERSION,
}
SPOILT: dict[str, Callable[[PhantomPatient, int], sitk.Image]] = {
    "the CT given as MR": lambda patient, seed: patient.ct,
    "flipped left to right": lambda patient, seed: flipped(patient.mr, 0),
    "flipped front to back": lambda patient, seed: flipped(patient.mr, 1),
    "flipped head to foot": lambda patient, seed: flipped(patient.mr, 2),
    "axes AP and SI exchanged": lambda patient, seed: axes_exchanged(patient.mr),
    "noise of 15 %": lambda patient, seed: noisy(patient.mr, 0.15, seed),
    "noise of 5 %": lambda patient, seed: noisy(patient.mr, 0.05, seed),
    "ghosts of 4 mm motion": lambda patient, seed: ghosts(patient.mr, 4.0),
    "ghosts of 1.5 mm motion": lambda patient, seed: ghosts(patient.mr, 1.5),
    "left half blank": lambda patient, seed: half_blank(patient.mr),
    "cut at the side (40 % of the field)": lambda patient, seed: cropped(patient.mr, 0, 0.4),
    "cut at the top (25 % of the field)": lambda patient, seed: cropped(patient.mr, 2, 0.25),
    "spacing x 1.3": lambda patient, seed: rescaled(patient.mr, 1.3),
    "spacing x 1.1": lambda patient, seed: rescaled(patient.mr, 1.1),
    "slice spacing x 1.3": lambda patient, seed: thicker(patient.mr, 1.3),
    "bias field x 4, front to back": lambda patient, seed: biased(patient.mr, 4.0),
    "bias field x 2, front to back": lambda patient, seed: biased(patient.mr, 2.0),
}
GOOD = "good"


Seen = tuple[str, str, list[str]]  # kind of MR, status, names of the checks that are not pass


def predict_patient(index: int, model: Path, spoilt: bool, good: bool, options: dict[str, float]) -> list[Seen]:
    """All MRs of one phantom through one model."""
    predictor, patient = _load(model), make_phantom_patient(index, **options)
    mrs: dict[str, Callable[[], sitk.Image]] = {GOOD: lambda: patient.mr} if good else {}
    if spoilt:
        for kind, contrast in CONTRASTS.items():
            mrs[kind] = lambda contrast=contrast: make_phantom_patient(index, contrast=contrast, **options).mr
        for kind, spoil in SPOILT.items():
            mrs[kind] = lambda spoil=spoil: spoil(patient, index)
    return [(kind, *_status(predictor, make())) for kind, make in mrs.items()]


def _status(predictor: Predictor, mr: sitk.Image) -> tuple[str, list[str]]:
    try:
        qa = predictor.predict_with_qa(mr).qa
    except SynthctError:
        return "fail", ["refused"]
    failing = [check.name for check in qa.judgement.checks if check.status != "pass"]
    return qa.status, failing + ["head mask"] * any("Look at the image and" in reason for reason in qa.reasons)


@lru_cache(maxsize=1)
def _load(model: Path) -> Predictor:
    return Predictor.from_model_folder(model)


def table(seen: list[Seen]) -> list[str]:
    """In Markdown, a row a kind of MR."""
    rows = ["| MR | n | pass | check | fail | checks not passed |", "|---|---|---|---|---|---|"]
    for kind in dict.fromkeys(kind for kind, _, _ in seen):
        statuses = Counter(status for spoiled, status, _ in seen if spoiled == kind)
        failing = Counter(name for spoiled, _, names in seen if spoiled == kind for name in names)
        counts = " | ".join(str(statuses[status]) for status in ("pass", "check", "fail"))
        frequent_failures = ", ".join(f"{name} {n}" for name, n in failing.most_common(4))
        rows.append(f"| {kind} | {statuses.total()} | {counts} | {frequent_failures} |")
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--good", type=int, default=16, help="new good phantoms (default: %(default)s)")
    parser.add_argument("--spoilt", type=int, default=6, help="phantoms spoilt in each way (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the population; the training's is 0 by default")
    parser.add_argument("--voxel_scale", type=float, default=1.5)
    parser.add_argument("-np", dest="workers", type=int, default=1)
    arguments = parser.parse_args()
    options = {"seed": arguments.seed, "voxel_scale": arguments.voxel_scale}
    tasks = {
        str(i): (i, arguments.model, i < arguments.spoilt, i < arguments.good, options)
        for i in range(max(arguments.good, arguments.spoilt))
    }
    seen = CaseRunner(arguments.workers, progress=tqdm).run(predict_patient, tasks, describe="Phantoms")
    print("\n".join(table([row for patient_rows in seen.values() for row in patient_rows])))


if __name__ == "__main__":
    main()
