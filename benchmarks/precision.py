"""Which precision trains as well: the same dataset, several seeds, float32 beside bfloat16, MAE on held-out patients.

python -m benchmarks.precision --raw synthct_raw/Dataset001_HeadPhantom \\
    --preprocessed synthct_preprocessed/Dataset001_HeadPhantom --output precision

Every run is a training of fold 0 as the plan has it (minutes each for 2d_lowres on a CPU); what is done already in the
output folder is not done again. bfloat16 counts as good where its mean MAE lies within one SD over seeds of float32's.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

from synthct.dataset.raw import RawDataset
from synthct.evaluation.compared import Candidate, Reference
from synthct.evaluation.score import score_patient
from synthct.files import read_json, write_json
from synthct.inference import Predictor
from synthct.inference.predict_held_out import predict_held_out
from synthct.training.device import select_device
from synthct.training.loop import train
from synthct.training.train_fold import describe_model, fold_to_train
from synthct.training.what_to_train import TrainingOptions

PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--preprocessed", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--trainers", nargs="+", default=["cyclegan", "pix2pix"])
    parser.add_argument("--configuration", default="2d_lowres")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="at least two")
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    done: dict[tuple[str, str], list[float]] = {}
    for seed in arguments.seeds:  # seeds outermost: a run cut short still compares both precisions
        for trainer in arguments.trainers:
            for precision in PRECISIONS:
                folder = arguments.output / f"{trainer}_{precision}_{seed}"
                if not (folder / "result.json").is_file():
                    write_json({"mae_hu": _mae_of_training(arguments, trainer, precision, seed, folder)},
                               folder / "result.json")  # fmt: skip
                done.setdefault((trainer, precision), []).append(read_json(folder / "result.json")["mae_hu"])
                print(f"{trainer} {precision} seed {seed}: MAE {done[trainer, precision][-1]:.1f} HU", flush=True)
    print(f"\n{select_device()[1]}; seeds {arguments.seeds}, configuration {arguments.configuration}\n")
    print("| trainer | float32: MAE, HU (SD over seeds) | bfloat16 | within the seeds' spread |\n|---|---|---|---|")
    for trainer in arguments.trainers:
        single, half = (done[trainer, precision] for precision in PRECISIONS)
        spread = statistics.stdev(single)
        within = abs(statistics.fmean(half) - statistics.fmean(single)) <= spread
        print(f"| {trainer} | {_text(single)} | {_text(half)} | {'yes' if within else 'no'} |")


def _mae_of_training(arguments: argparse.Namespace, trainer: str, precision: str, seed: int, folder: Path) -> float:
    """The mean over the held-out patients of MAE (eq. 4), HU."""
    what = fold_to_train(arguments.preprocessed, folder, trainer, arguments.configuration, "0")
    changed = replace(what.planned, training=replace(what.planned.training, precision=precision, seed=seed))
    plan = replace(what.plan, configurations={**what.plan.configurations, what.configuration: changed})
    what = replace(what, plan=plan, fold_folder=folder / "fold_0")
    train(what, TrainingOptions(epochs=arguments.epochs))
    describe_model(what, arguments.preprocessed)
    raw = RawDataset.open(arguments.raw)
    predict_held_out(raw, Predictor.from_model_folder(folder), tuple(what.split["val"]), folder / "validation")
    maes = []
    for patient in what.split["val"]:
        sct = folder / "validation" / f"{patient}{raw.file_ending}"
        case = raw.training[patient]
        reference = Reference(patient, case.ct, case.mr[0], case.mask, case.registration)
        maes.append(score_patient(reference, {trainer: Candidate(sct)}, "seed").rows[trainer].metrics["mae_hu"])
    return statistics.fmean(maes)


def _text(values: list[float]) -> str:
    return f"{statistics.fmean(values):.1f} ({statistics.stdev(values):.1f})"


if __name__ == "__main__":
    main()
