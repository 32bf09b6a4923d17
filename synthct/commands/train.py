"""``synthct_train``: train one fold, then predict its held-out patients."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

from synthct import locks
from synthct.commands import console
from synthct.parallel import quiet
from synthct.paths import root_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_train",
        "Train a model on one fold of a preprocessed dataset, then synthesise the CTs of the patients it held out.",
        "synthct_train 1 cyclegan\nsynthct_train 1 pix2pix 2 -c 2d_lowres --epochs 20 --iterations 300\n"
        "torchrun --nproc_per_node=2 -m synthct.commands.train 1 cyclegan",
    )
    parser.add_argument("dataset", help="dataset number or name")
    parser.add_argument("trainer", help="cyclegan (unpaired) or pix2pix (paired)")
    parser.add_argument("fold", nargs="?", default="0", help="0, 1, ... or all (default: %(default)s)")
    parser.add_argument("-c", dest="configuration", default="2d", metavar="NAME", help="default: %(default)s")
    parser.add_argument(
        "--continue", dest="resume", action="store_true", help="go on from the latest checkpoint, exactly"
    )
    parser.add_argument("--epochs", type=console.positive_integer, metavar="N", help="in place of the plan's number")
    parser.add_argument(
        "--iterations", type=console.positive_integer, metavar="N", help="per epoch, in place of the plan's number"
    )
    parser.add_argument(
        "--checkpoint_minutes",
        type=console.positive_number,
        default=10.0,
        metavar="MINUTES",
        help="longest time without a checkpoint; there is one every epoch too (default: %(default)g)",
    )
    parser.add_argument("--disjoint", action="store_true", help="take MR and CT from different patients")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--val", action="store_true", help="no training: only predict the held-out patients again")
    instead.add_argument(
        "--benchmark_steps",
        type=console.positive_integer,
        metavar="N",
        help="no training: time N steps on the dataset's slices, say what a step takes, and keep nothing",
    )
    parser.add_argument("-device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    parser.add_argument(
        "--cuda_graph",
        action="store_true",
        help="record the step as a CUDA graph: faster on one GPU, not yet measured there",
    )
    parser.add_argument(
        "--loaders",
        type=int,
        default=1,
        choices=range(0, 33),
        metavar="N",
        help="background processes that load slices; 0 loads in the foreground (default: %(default)s)",
    )
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> None:
    with ExitStack() as held:
        _train(arguments, held)


def _train(arguments: argparse.Namespace, held: ExitStack) -> None:
    """Train and validate a fold; its folder is locked until ``held`` ends, the slices until the training does."""
    from synthct.dataset.raw import find_dataset_folder
    from synthct.errors import ModelError, TrainingError
    from synthct.files import write_json
    from synthct.planning.fingerprint import Fingerprint
    from synthct.planning.plan import Plan
    from synthct.planning.splits import load_splits, split_of_fold
    from synthct.preprocessing.preprocess_dataset import check_cached
    from synthct.training.checkpoint import load_checkpoint
    from synthct.training.device import select_device
    from synthct.training.distributed import Ranks
    from synthct.training.loop import train
    from synthct.training.model_folder import CHECKPOINT, check_one_plan, describe_model, model_folder_name
    from synthct.training.registry import find_trainer
    from synthct.training.step_times import measure_steps

    trainer = find_trainer(arguments.trainer)  # a wrong name is told before anything else is done
    if trainer.paired and arguments.disjoint:
        raise TrainingError(f"{arguments.trainer} needs MR and CT of the same patients; leave out --disjoint.")
    preprocessed = find_dataset_folder(root_folder("synthct_preprocessed"), arguments.dataset)
    ranks = Ranks.from_environment()  # the first process speaks for all, and locks for all
    slices_held = held.enter_context(ExitStack())
    if ranks.leads and not arguments.val:
        slices_held.enter_context(locks.reading(preprocessed, arguments.command))
    plan = Plan.load(preprocessed / "plans.json")
    plan.configuration(arguments.configuration)
    patients = Fingerprint.load(preprocessed / "dataset_fingerprint.json").cases
    split = split_of_fold(load_splits(preprocessed / "splits_final.json", patients), arguments.fold, patients)
    name = model_folder_name(arguments.trainer, arguments.configuration, disjoint=arguments.disjoint)
    model_folder = root_folder("synthct_results") / preprocessed.name / name
    fold_folder = model_folder / f"fold_{arguments.fold}"
    device, reason = select_device(arguments.device, ranks.local_rank)
    if not ranks.leads:
        logging.getLogger("synthct").setLevel(logging.ERROR)
    say = print if ranks.leads else (lambda *_: None)

    what = (arguments.trainer, plan, arguments.configuration)
    how = {
        "preprocessed_folder": preprocessed,
        "split": {"train": list(split.train), "val": list(split.val)},
        "disjoint": arguments.disjoint,
        "device": device,
        "workers": arguments.loaders,
        "ranks": ranks,
        "cuda_graph": arguments.cuda_graph,
        "progress": console.progress_bar if ranks.leads else quiet,
    }
    together = f", in {ranks.world_size} processes" if ranks.world_size > 1 else ""
    where = f"{name}, fold {arguments.fold}, on {device} ({reason}){together}"
    if not arguments.val:
        check_cached(preprocessed / arguments.configuration, [*split.train, *split.val])
    if arguments.benchmark_steps:
        say(f"Timing {arguments.benchmark_steps} steps of {where}")
        say(measure_steps(*what, steps=arguments.benchmark_steps, **how))
        return
    if ranks.leads:
        held.enter_context(locks.writing(fold_folder, arguments.command))
    if not arguments.val:

        def describe() -> None:
            with locks.section(model_folder) if ranks.leads else nullcontext():  # other folds may be trained at once
                check_one_plan(preprocessed, model_folder, arguments.configuration, arguments.fold)
                if ranks.leads and not (fold_folder / CHECKPOINT).exists():  # else it still describes the earlier model
                    describe_model(preprocessed, model_folder)

        say(f"Training {where}")
        train(
            *what,
            fold_folder=fold_folder,
            epochs=arguments.epochs,
            iterations=arguments.iterations,
            resume=arguments.resume,
            checkpoint_minutes=arguments.checkpoint_minutes,
            describe=describe,
            **how,
        )
    if not ranks.leads:
        return
    if not arguments.val:
        with locks.section(model_folder):
            describe_model(preprocessed, model_folder)
        slices_held.close()
        say(f"Wrote {fold_folder / CHECKPOINT}; progress.png beside it shows how the training went")
    if not (fold_folder / CHECKPOINT).exists():
        raise ModelError(f"{fold_folder} holds no trained model; train it first, without --val.")
    # Who was held out is what the model itself was trained by, whatever splits_final.json says by now.
    split_of_model = load_checkpoint(fold_folder / CHECKPOINT)["split"]
    write_json(split_of_model, fold_folder / "split.json")  # which a training killed at its very end did not
    _predict_held_out(preprocessed.name, model_folder, arguments.fold, split_of_model, device)


def _predict_held_out(dataset: str, model_folder: Path, fold: str, split: dict[str, list[str]], device: object) -> None:
    from synthct.dataset.raw import RawDataset, find_dataset_folder
    from synthct.inference import Predictor
    from synthct.inference.predict_held_out import predict_held_out, record_fold

    raw = RawDataset.open(find_dataset_folder(root_folder("synthct_raw"), dataset))
    predictor = Predictor.from_model_folder(model_folder, [fold], device=device)
    output = model_folder / f"fold_{fold}" / "validation"
    measured = predict_held_out(raw, predictor, tuple(split["val"]), output, progress=console.progress_bar)
    record_fold(raw, predictor, model_folder, fold, measured, split["train"], progress=console.progress_bar)
    print(f"Wrote what new patients are held against to {model_folder / 'qa_reference.json'}")
    if not measured:
        print(f"Fold {fold} holds nobody out, so there is nobody to validate on.")
        print(f"Next: synthct_predict -m {model_folder} -i MRS -o CTS")
        return
    print(f"Wrote the synthetic CTs of {len(measured)} held-out patients to {output}")
    print("Next: synthct_evaluate")


if __name__ == "__main__":
    sys.exit(main())
