"""``synthct_plan_and_preprocess``: integrity check, fingerprint, plan, cached slices."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from synthct import locks
from synthct.commands import console
from synthct.paths import root_folder

if TYPE_CHECKING:
    from synthct.parallel import CaseRunner


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_plan_and_preprocess",
        "Check a raw dataset, measure its fingerprint, plan, and cache network-ready slices. "
        "A second run does only what is new or has changed.",
        "synthct_plan_and_preprocess -d 1\nsynthct_plan_and_preprocess -d 1 2 -c 2d_lowres -np 4\n"
        "synthct_plan_and_preprocess -d 1 --register auto\n"
        "synthct_plan_and_preprocess -d 1 --scheduler tcp://node1:8786",
    )
    parser.add_argument("-d", dest="datasets", nargs="+", required=True, metavar="ID", help="dataset numbers or names")
    parser.add_argument("-c", dest="configurations", nargs="+", metavar="NAME", help="configurations (default: all)")
    parser.add_argument(
        "-p",
        "--planner",
        choices=["default", "wolterink2017"],
        help="default: the values of Wolterink et al. 2017 where the data allow them; wolterink2017: those whatever "
        "the data (without -p: as the plan that is there, else default)",
    )
    parser.add_argument(
        "--register",
        nargs="?",
        const="always",
        choices=["always", "auto", "refine", "off"],
        help="register each CT to the patient's MR: always (--register alone), auto (only where they are not aligned "
        "already), refine (as auto; what moved by itself, such as the jaw, is then registered locally in the CTs that "
        "paired trainers are trained on) or off (without --register: as in the plan that is there, else off)",
    )
    parser.add_argument("--verify_only", action="store_true", help="check the dataset and write nothing")
    parser.add_argument(
        "--clean", action="store_true", help="throw away what an earlier run left, edited plans and splits included"
    )
    console.add_skip_bad(parser)
    console.add_workers(parser)
    console.add_scheduler(parser, "-np is then without meaning. ")
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> dict[str, str]:
    left_out: dict[str, str] = {}
    raw_root = root_folder("synthct_raw")
    preprocessed_root = None if arguments.verify_only else root_folder("synthct_preprocessed")
    if arguments.scheduler is not None:  # a relative path means something else on another machine
        raw_root, preprocessed_root = raw_root.absolute(), preprocessed_root and preprocessed_root.absolute()
    writes = [preprocessed_root] if preprocessed_root else []
    with console.cluster(arguments, reads=[raw_root], writes=writes) as executor:
        for dataset in arguments.datasets:
            runner = console.case_runner(arguments, executor)
            _plan_and_preprocess(arguments, raw_root, preprocessed_root, dataset, runner)
            several = f"{dataset}, " if len(arguments.datasets) > 1 else ""
            left_out |= {several + patient: sentence for patient, sentence in runner.left_out.items()}
    return left_out


def _plan_and_preprocess(
    arguments: argparse.Namespace,
    raw_root: Path,
    preprocessed_root: Path | None,
    dataset: str,
    runner: CaseRunner,
) -> None:
    from synthct.dataset.raw import RawDataset, find_dataset_folder
    from synthct.planning.fingerprint import Fingerprint
    from synthct.preprocessing.plan_and_preprocess import PlanningOptions, plan_and_preprocess

    raw = RawDataset.open(find_dataset_folder(raw_root, dataset))
    folder = (preprocessed_root or raw_root) / raw.name
    options = PlanningOptions(
        planner=arguments.planner,
        register=arguments.register,
        configurations=arguments.configurations,
        clean=arguments.clean,
        verify_only=arguments.verify_only,
    )
    with nullcontext() if arguments.verify_only else locks.writing(folder, arguments.command):
        plan = plan_and_preprocess(raw, folder, options, runner=runner)
    if plan is not None:
        number = raw.name[7:10].lstrip("0") or "0"
        print(f"The plan and its reasons are in {folder / 'plans.json'}")
        cases = Fingerprint.load(folder / "dataset_fingerprint.json").cases.values()
        no_pair_left = not any(case.paired for case in cases) and not all(case.aligned for case in cases)
        ready = arguments.configurations or list(plan.configurations)
        chosen = "" if "2d" in ready else f" -c {ready[0]}"
        hint = "   (or, in minutes on a CPU, with -c 2d_lowres)" if {"2d", "2d_lowres"} <= set(ready) else ""
        if no_pair_left:
            print("Next: see to the registrations first; this trainer needs no pairs:")
            print(f"synthct_train {number} {plan.recommended_trainer or 'cyclegan'}{chosen}{hint}")
        else:
            print(f"Next: synthct_train {number} {plan.recommended_trainer or 'cyclegan'}{chosen}{hint}")


if __name__ == "__main__":
    sys.exit(main())
