"""``synthct_make_example``: a dataset of head phantoms, so that everything runs with no download."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from synthct.commands import console
from synthct.commands.argument_types import positive_integer
from synthct.commands.new_dataset import new_dataset
from synthct.counted import counted

NAME = "HeadPhantom"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_make_example",
        "Write paired MR and CT head phantoms as a raw dataset. The same seed gives the same patients.",
        "synthct_make_example\nsynthct_make_example -d 2 --name Small --train 4 --test 1 --voxel_scale 2",
    )
    parser.add_argument("-d", dest="dataset", default="1", metavar="ID", help="number (1), or Dataset002_NAME")
    parser.add_argument("--name", help=f"name after the number ({NAME})")
    parser.add_argument("--train", type=positive_integer, default=8, metavar="N", help="training patients (8)")
    parser.add_argument("--test", type=int, default=2, metavar="N", help="test patients (2)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other patients (0)")
    parser.add_argument(
        "--voxel_scale", type=float, default=1.0, metavar="S", help="coarser voxels over the same field of view (1)"
    )
    parser.add_argument(
        "--misalignment_mm",
        type=float,
        default=3.0,
        metavar="MM",
        help="largest local shift of throat, jaw and neck between MR and CT (3)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a dataset that is there")
    console.add_workers(parser)
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> None:
    from synthct.errors import DatasetError
    from synthct.phantom import PhantomOptions, make_example_dataset

    if not 0.5 <= arguments.voxel_scale <= 8 or arguments.misalignment_mm < 0 or arguments.test < 0:
        raise DatasetError("--voxel_scale must lie in 0.5..8, --misalignment_mm and --test must not be negative.")
    if arguments.seed < 0:
        raise DatasetError(f"--seed must not be negative, not {arguments.seed}.")
    if arguments.name is None and arguments.dataset.isdigit():
        arguments.name = NAME
    with new_dataset(arguments) as folder:
        cases = make_example_dataset(
            folder,
            PhantomOptions(arguments.seed, arguments.voxel_scale, arguments.misalignment_mm),
            n_train=arguments.train,
            n_test=arguments.test,
            overwrite=arguments.overwrite,
            runner=console.case_runner(arguments),
        )
    print(f"Wrote {counted(len(cases), 'patient')} ({arguments.train} training, {arguments.test} test) to {folder}")
    print(f"Next: synthct_plan_and_preprocess -d {int(folder.name[7:10])}")


if __name__ == "__main__":
    sys.exit(main())
