"""``synthct_install_model``: a zip file of ``synthct_export_model`` becomes a model folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from synthct.commands import console
from synthct.paths import root_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_install_model",
        "Check a model file of synthct_export_model to the last byte, and make a model folder of it that predicts as "
        "it did where it was exported. Nothing in the file is executed.",
        "synthct_install_model brain_cyclegan.zip\nsynthct_install_model brain_cyclegan.zip --verify\n"
        "synthct_install_model brain_cyclegan.zip -o models/brain",
    )
    parser.add_argument("file", type=Path, metavar="FILE.zip", help="that synthct_export_model wrote")
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="FOLDER",
        help="the model folder (default: synthct_results/DATASET/TRAINER__plans__CONFIGURATION)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a model folder that is there, folds and all")
    parser.add_argument("--verify", action="store_true", help="only check the file and show its model card")
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> None:
    results = None if arguments.output or arguments.verify else root_folder("synthct_results")
    from synthct.exchange.card import lines_before, model_card
    from synthct.exchange.install import check_model_file, install_model

    if arguments.verify:
        folder, model = None, check_model_file(arguments.file, progress=console.progress_bar)
    else:
        folder, model = install_model(
            arguments.file,
            results,
            arguments.output,
            overwrite=arguments.overwrite,
            progress=console.progress_bar,
        )
    for line in lines_before(model_card(model), "Results"):
        console.print_wrapped(line)
    if folder is None:
        print(f"{arguments.file} is whole and can be installed; nothing was written.")
        print(f"Next: synthct_install_model {arguments.file}")
        return
    print(f"Wrote {folder}; all of the model card is in its model_card.md")
    print(f"Next: synthct_predict -m {folder} -i MRS -o CTS")


if __name__ == "__main__":
    sys.exit(main())
