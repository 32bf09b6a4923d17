"""``synthct_train``: train one fold, then predict its held-out patients."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from synthct import locks
from synthct.commands import console
from synthct.commands.argument_types import positive_integer, positive_number
from synthct.commands.threads import add_threads, use_threads
from synthct.counted import counted
from synthct.parallel import quiet
from synthct.paths import root_folder
from synthct.plugins import TRAINERS

if TYPE_CHECKING:
    import torch

    from synthct.model_folder import FoldFolder
    from synthct.training.distributed import Ranks


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_train",
        "Train a model on one fold of a preprocessed dataset, then synthesise the CTs of the patients it held out.",
        "synthct_train 1\nsynthct_train 1 cyclegan\nsynthct_train 1 unet 2 -c 2d_lowres --epochs 20 --iterations 300\n"
        "synthct_train 1 unet --tensorboard\n"
        "torchrun --nproc_per_node=2 -m synthct.commands.train 1 cyclegan",
    )
    parser.add_argument("dataset", help="dataset number or name")
    parser.add_argument(
        "trainer",
        nargs="?",
        help="unet, pix2pix, han2017 or nie2017 (paired), unet_unpaired, cyclegan, cyclegan_nce or dualgan (no pairs "
        "needed), unet3d (paired, with -c 3d on a GPU), or one of another package (default: as plans.json recommends)",
    )
    parser.add_argument("fold", nargs="?", default="0", help="0, 1, ... or all (default: %(default)s)")
    parser.add_argument("-c", dest="configuration", default="2d", metavar="NAME", help="default: %(default)s")
    parser.add_argument(
        "--continue", dest="resume", action="store_true", help="go on from the latest checkpoint, exactly"
    )
    parser.add_argument("--epochs", type=positive_integer, metavar="N", help="in place of the plan's number")
    parser.add_argument(
        "--iterations", type=positive_integer, metavar="N", help="per epoch, in place of the plan's number"
    )
    parser.add_argument(
        "--checkpoint_minutes",
        type=positive_number,
        default=10.0,
        metavar="MINUTES",
        help="longest time without a checkpoint; there is one every epoch too (default: %(default)g)",
    )
    parser.add_argument("--disjoint", action="store_true", help="take MR and CT from different patients")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--val", action="store_true", help="no training: only predict the held-out patients again")
    instead.add_argument(
        "--benchmark_steps",
        type=positive_integer,
        metavar="N",
        help="no training: time N steps on the dataset's slices, say what a step takes, and keep nothing",
    )
    parser.add_argument("-device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    add_threads(parser)
    parser.add_argument(
        "--no_cuda_graph",
        action="store_true",
        help="on a GPU run each step's kernels one by one; by default a single GPU replays a recording of them",
    )
    parser.add_argument(
        "--loaders",
        type=int,
        choices=range(0, 33),
        metavar="N",
        help="background processes that load slices; 0 loads in the foreground (default: 1; for a GPU up to 8, as "
        "there are cores)",
    )
    parser.add_argument(
        "--tensorboard",
        dest="loggers",
        action="append_const",
        const="tensorboard",
        help="write the curves for TensorBoard too, into tensorboard/ of the fold's folder; needs synthct[tensorboard]",
    )
    parser.add_argument(
        "--logger",
        dest="loggers",
        action="append",
        metavar="NAME",
        help="a training logger of another package follows the training; may be given several times",
    )
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> None:
    with ExitStack() as held:
        _train(arguments, held)


def _train(arguments: argparse.Namespace, held: ExitStack) -> None:
    """Train and validate a fold; its folder is locked until ``held`` ends, the slices until the training does."""
    use_threads(arguments)
    from synthct.dataset.raw import find_dataset_folder
    from synthct.model_folder import FoldFolder
    from synthct.training.device import select_device
    from synthct.training.distributed import Ranks
    from synthct.training.loader import loaders_for
    from synthct.training.logger import additional_loggers
    from synthct.training.step_times import measure_steps
    from synthct.training.train_fold import fold_to_train, train_fold
    from synthct.training.what_to_train import TrainingOptions, fold_folder

    if arguments.trainer:
        TRAINERS.load(arguments.trainer)  # a wrong name is reported before anything else is done
    loggers = tuple(arguments.loggers or ())
    additional_loggers(loggers)  # likewise
    preprocessed = find_dataset_folder(root_folder("synthct_preprocessed"), arguments.dataset, "synthct_preprocessed")
    ranks = Ranks.from_environment()  # the first process prints for all, and locks for all
    trainer = arguments.trainer or _recommended_trainer(preprocessed / "plans.json", ranks)
    slices_held = held.enter_context(ExitStack())
    if ranks.is_main_process and not arguments.val:
        slices_held.enter_context(locks.reading(preprocessed, arguments.command))
    results = root_folder("synthct_results") / preprocessed.name
    what = (trainer, arguments.configuration, arguments.fold)
    fold = FoldFolder(fold_folder(results, *what, disjoint=arguments.disjoint))
    device, reason = select_device(arguments.device, ranks.local_rank)
    if not ranks.is_main_process:
        logging.getLogger("synthct").setLevel(logging.ERROR)
    say = print if ranks.is_main_process else (lambda *_: None)
    options = TrainingOptions(
        epochs=arguments.epochs,
        iterations=arguments.iterations,
        resume=arguments.resume,
        checkpoint_minutes=arguments.checkpoint_minutes,
        device=device,
        ranks=ranks,
        loaders=loaders_for(device, ranks) if arguments.loaders is None else arguments.loaders,
        cuda_graph=not arguments.no_cuda_graph,
        loggers=loggers,
    )
    progress = console.progress_bar if ranks.is_main_process else quiet
    together = f", in {ranks.world_size} processes" if ranks.world_size > 1 else ""
    where = f"{fold.path.parent.name}, fold {arguments.fold}, on {device} ({reason}){together}"
    if not arguments.val:  # what is wrong is reported before a folder is locked
        to_train = fold_to_train(preprocessed, results, *what, disjoint=arguments.disjoint)
    if arguments.benchmark_steps:
        say(f"Timing {counted(arguments.benchmark_steps, 'step')} of {where}")
        say(measure_steps(to_train, arguments.benchmark_steps, options, progress=progress))
        return
    if ranks.is_main_process:
        held.enter_context(locks.writing(fold.path, arguments.command))
    if not arguments.val:
        say(f"Training {where}")
        train_fold(preprocessed, results, *what, disjoint=arguments.disjoint, options=options, progress=progress)
    if not ranks.is_main_process:
        return
    if not arguments.val:
        slices_held.close()
        say(f"Wrote {fold.final}; progress.png beside it shows how the training went")
    _predict_held_out(preprocessed.name, fold, device)


def _recommended_trainer(plans: Path, ranks: Ranks) -> str:
    """The trainer that the plan recommends; the first process says why.

    Raises:
        PlanError: it recommends none.
    """
    from synthct.errors import PlanError
    from synthct.planning.plan import Plan

    plan = Plan.load(plans)
    if not plan.recommended_trainer:
        raise PlanError(
            f"{plans} recommends no trainer, as plans of earlier versions do; name one ({', '.join(TRAINERS.names())})."
        )
    if ranks.is_main_process:
        reason = plan.reasons.get("recommended_trainer")
        why = f": {reason.rule} ({reason.measured})" if reason else ""
        print(f"Trainer {plan.recommended_trainer}, as plans.json recommends{why}")
    return plan.recommended_trainer


def _predict_held_out(dataset: str, fold: FoldFolder, device: torch.device) -> None:
    from synthct.dataset.raw import RawDataset, find_dataset_folder
    from synthct.inference.predict_held_out import validate_fold
    from synthct.model_folder import ModelFolder
    from synthct.qa.usefulness import useless_reason

    model_folder = ModelFolder(fold.path.parent)
    raw = RawDataset.open(find_dataset_folder(root_folder("synthct_raw"), dataset))
    preprocessed = root_folder("synthct_preprocessed") / dataset
    validation = validate_fold(
        raw, preprocessed, model_folder.path, fold.name, device=device, progress=console.progress_bar
    )
    print(f"Wrote what new patients are compared with to {model_folder.qa_reference}")
    if not validation.measured:
        print(f"Fold {fold.name} holds no patient out, so there is none to validate on.")
        print(f"Next: synthct_predict -m {model_folder.path} -i MRS -o CTS")
        return
    print(f"Wrote {counted(len(validation.measured), 'synthetic CT')} of held-out patients to {fold.validation}")
    if useless := useless_reason(validation.reference.errors):
        logging.getLogger("synthct").warning(f"{useless} Quality assurance gives no pass until then.")
    if not validation.n_pairs:
        logging.getLogger("synthct").warning(
            "No held-out patient is a pair, since there is no CT or its registration to the MR failed: no sCT can be "
            "compared with a CT."
        )
        print(f"Next: synthct_predict -m {model_folder.path} -i MRS -o CTS")
        return
    print("Next: synthct_evaluate")


if __name__ == "__main__":
    sys.exit(main())
