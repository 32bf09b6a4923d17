"""What the quality assurance of predictions tells from good MRs, and how often it doubts good ones.

python -m benchmarks.quality_assurance MODEL_FOLDER [MODEL_FOLDER ...]

The model must be trained on head phantoms (synthct_make_example) of the same --voxel_scale. New phantoms of another
seed are made; some are spoilt in one way each. The table says how many of each kind pass, are to be checked, and fail,
and which checks told it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
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
from synthct.dataset.phantom.patient import PhantomPatient, make_phantom_patient
from synthct.dataset.phantom.sequences import FLAIR, PROTON_DENSITY, T1_INVERSION, T2
from synthct.errors import SynthctError
from synthct.inference import Predictor
from synthct.inference.qa.report import QaReport

CONTRASTS = {
    "T2-weighted": T2,
    "FLAIR": FLAIR,
    "proton density": PROTON_DENSITY,
    "T1 inversion recovery (as MPRAGE)": T1_INVERSION,
}
SPOILT: dict[str, Callable[[PhantomPatient, int], sitk.Image]] = {
    "the CT given as MR": lambda one, seed: one.ct,
    "flipped left to right": lambda one, seed: flipped(one.mr, 0),
    "flipped front to back": lambda one, seed: flipped(one.mr, 1),
    "flipped head to foot": lambda one, seed: flipped(one.mr, 2),
    "axes front-back and foot-head exchanged": lambda one, seed: axes_exchanged(one.mr),
    "noise of 15 %": lambda one, seed: noisy(one.mr, 0.15, seed),
    "noise of 5 %": lambda one, seed: noisy(one.mr, 0.05, seed),
    "ghosts of 4 mm motion": lambda one, seed: ghosts(one.mr, 4.0),
    "ghosts of 1.5 mm motion": lambda one, seed: ghosts(one.mr, 1.5),
    "left half blank": lambda one, seed: half_blank(one.mr),
    "cut at the side (40 % of the field)": lambda one, seed: cropped(one.mr, 0, 0.4),
    "cut at the top (25 % of the field)": lambda one, seed: cropped(one.mr, 2, 0.25),
    "spacing x 1.3": lambda one, seed: rescaled(one.mr, 1.3),
    "spacing x 1.1": lambda one, seed: rescaled(one.mr, 1.1),
    "slice spacing x 1.3": lambda one, seed: thicker(one.mr, 1.3),
    "bias field x 4, front to back": lambda one, seed: biased(one.mr, 4.0),
    "bias field x 2, front to back": lambda one, seed: biased(one.mr, 2.0),
}
GOOD = "good"


class Tally:
    """Verdicts of one model by kind of input."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Counter[str]] = {}
        self.checks: dict[str, Counter[str]] = {}

    def add(self, kind: str, qa: QaReport | None) -> None:
        """Count one prediction; None: it was refused."""
        self.verdicts.setdefault(kind, Counter())["refused" if qa is None else qa.verdict] += 1
        counted = self.checks.setdefault(kind, Counter())
        if qa is not None:
            counted.update(one.name for one in qa.judgement.checks if one.verdict != "pass")
            counted.update(["head mask"] if any("Look at the image" in reason for reason in qa.reasons) else [])

    def rows(self) -> list[str]:
        """A table in Markdown."""
        rows = ["| MR | n | pass | check | fail | told by (of n) |", "|---|---|---|---|---|---|"]
        for kind, verdicts in self.verdicts.items():
            counts = [verdicts[one] for one in ("pass", "check", "fail")]
            counts[2] += verdicts["refused"]
            told = ", ".join(f"{name} {n}" for name, n in self.checks[kind].most_common(4))
            rows.append(f"| {kind} | {sum(counts)} | {' | '.join(map(str, counts))} | {told} |")
        return rows


def main() -> None:
    """Print a table a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--good", type=int, default=16, help="new good phantoms (default: %(default)s)")
    parser.add_argument("--spoilt", type=int, default=6, help="phantoms spoilt in each way (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the population; the training's is 0 by default")
    parser.add_argument("--voxel_scale", type=float, default=1.5)
    arguments = parser.parse_args()
    predictors = {folder.name: Predictor.from_model_folder(folder) for folder in arguments.models}
    tallies = {name: Tally() for name in predictors}

    def predict(kind: str, mr: sitk.Image) -> None:
        for name, predictor in predictors.items():
            try:
                qa = predictor.predict_with_qa(mr).qa
            except SynthctError:
                qa = None
            tallies[name].add(kind, qa)

    options = {"seed": arguments.seed, "voxel_scale": arguments.voxel_scale}
    for index in tqdm(range(max(arguments.good, arguments.spoilt)), desc="Phantoms"):
        patient = make_phantom_patient(index, **options)
        if index < arguments.good:
            predict(GOOD, patient.mr)
        if index < arguments.spoilt:
            for kind, contrast in CONTRASTS.items():
                predict(kind, make_phantom_patient(index, contrast=contrast, **options).mr)
            for kind, spoil in SPOILT.items():
                predict(kind, spoil(patient, index))
    for name, tally in tallies.items():
        print(f"\n{name}\n")
        print("\n".join(tally.rows()))


if __name__ == "__main__":
    main()
