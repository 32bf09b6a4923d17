"""``synthct_evaluate``: every trained model on its held-out patients, or any two folders of CTs."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthct import locks
from synthct.commands import console
from synthct.counted import counted
from synthct.model_folder import CHECKPOINT_FINAL
from synthct.paths import root_folder

if TYPE_CHECKING:  # imported where it is used, so that --help answers at once
    from synthct.evaluation.evaluate import Evaluation

log = logging.getLogger("synthct")
PROTOCOLS = ("all", "seed", "synthrad2023", "synthrad2025")  # as in synthct.evaluation.metrics, which loads slowly


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_evaluate",
        "Score every trained model on its held-out patients, and on the test set where it has predicted that: MAE and "
        "PSNR a patient and many further metrics, mean and SD, paired tests, figures, a report. With -p and -r score "
        "the CTs of any two folders.",
        "synthct_evaluate\nsynthct_evaluate -d 1 --protocol synthrad2025\n"
        "synthct_evaluate -p cts -r reference_cts -i mrs",
    )
    parser.add_argument("-d", dest="dataset", metavar="ID", help="dataset (default: every one that has trained models)")
    parser.add_argument("-p", dest="predictions", type=Path, metavar="FOLDER", help="synthetic CTs")
    parser.add_argument("-r", dest="references", type=Path, metavar="FOLDER", help="reference CTs of the same names")
    parser.add_argument(
        "-i",
        dest="mrs",
        type=Path,
        metavar="FOLDER",
        help="with -p and -r: the MRs that the sCTs were made from, so that the head is determined in both CT and MR, "
        "as it is for trained models (default: in the CT alone)",
    )
    parser.add_argument(
        "-m",
        dest="masks",
        type=Path,
        metavar="FOLDER",
        help="with -p and -r: head masks (default: determined in the CT, and in the MR with -i)",
    )
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FOLDER", help="with -p and -r (default: -p/evaluation)"
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="all",
        help="the metrics: seed (MAE and PSNR, also windowed), synthrad2023 (with SSIM) or synthrad2025 (MS-SSIM), "
        "each beside the paper's, or all, which adds tissues, Dice, bias, histogram, slice jumps and WEPL "
        "(default: %(default)s)",
    )
    console.add_skip_bad(parser)
    console.add_workers(parser)
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> Mapping[str, str]:
    from synthct.errors import DatasetError
    from synthct.evaluation.evaluate import evaluate_folders

    if bool(arguments.predictions) != bool(arguments.references):
        raise DatasetError("-p (synthetic CTs) and -r (reference CTs) go together; give both or none.")
    if arguments.predictions:
        if arguments.dataset:
            raise DatasetError("-d does not go with -p and -r; leave it out.")
        if not arguments.predictions.is_dir():  # before the folder of the output is made in it
            raise DatasetError(f"{arguments.predictions} is not a folder; give a folder of synthetic CTs with -p.")
        runner = console.case_runner(arguments)
        output = arguments.output or arguments.predictions / "evaluation"
        with locks.writing(output, arguments.command):
            evaluation = evaluate_folders(
                arguments.predictions,
                arguments.references,
                output,
                mrs=arguments.mrs,
                masks=arguments.masks,
                protocol=arguments.protocol,
                runner=runner,
            )
        _show(evaluation)
        return runner.left_out
    if arguments.mrs or arguments.masks or arguments.output:
        raise DatasetError("-i, -m and -o go with -p and -r only.")
    return _evaluate_datasets(arguments)


def _evaluate_datasets(arguments: argparse.Namespace) -> dict[str, str]:
    from synthct.dataset.raw import RawDataset, find_dataset_folder
    from synthct.errors import DatasetError, FolderError, ImageError, ModelError, PlanError
    from synthct.evaluation.evaluate import evaluate_dataset

    results = root_folder("synthct_results")
    if arguments.dataset:
        folders = [find_dataset_folder(results, arguments.dataset, "synthct_results")]
    else:
        folders = sorted({path.parent.parent.parent for path in results.glob(f"Dataset*/*/fold_*/{CHECKPOINT_FINAL}")})
    if not folders:
        raise ModelError(f"{results} holds no trained model; train one: synthct_train 1 cyclegan.")
    raw_root = root_folder("synthct_raw")
    try:
        preprocessed = root_folder("synthct_preprocessed")
    except FolderError:  # it is needed for registered pairs alone
        preprocessed = None
    scored = False
    left_out: dict[str, str] = {}
    for folder in folders:
        runner = console.case_runner(arguments)
        try:
            raw = RawDataset.open(_raw_folder(raw_root, folder.name))
            print(raw.name)
            with locks.writing(folder / "evaluation", arguments.command):
                evaluation = evaluate_dataset(
                    raw,
                    folder,
                    None if preprocessed is None else preprocessed / raw.name,
                    protocol=arguments.protocol,
                    runner=runner,
                )
        except (DatasetError, ImageError, ModelError, PlanError) as fault:
            if not scored and folder == folders[-1]:
                raise  # nothing was scored at all
            log.warning(f"{folder.name} is left out: {fault}")  # one unpaired dataset must not keep the others back
        else:
            scored = True
            _show(evaluation)
            several = f"{folder.name}, " if len(folders) > 1 else ""
            left_out |= {several + patient: sentence for patient, sentence in runner.left_out.items()}
    return left_out


def _raw_folder(raw_root: Path, name: str) -> Path:
    from synthct.errors import DatasetError

    if not (raw_root / name).is_dir():
        raise DatasetError(
            f"{raw_root} has no dataset {name}, whose models are to be scored; bring its images back. A model that was "
            "installed is scored on patients of yours: synthct_predict, then synthct_evaluate -p CTS -r REFERENCE_CTS."
        )
    return raw_root / name


def _show(evaluation: Evaluation) -> None:
    print(evaluation.terminal_table)
    print()
    for comparison in (*evaluation.comparisons, *evaluation.test_comparisons):
        if comparison.main:
            console.print_wrapped(comparison.sentence)
    names = ", ".join(path.name for path in evaluation.tables if path.suffix == ".csv")
    console.print_wrapped(f"Tables: {names}", break_on_hyphens=False)
    print(f"Figures: {counted(len(evaluation.figures), 'PNG file')}")
    print(f"All of it is in {evaluation.folder}")
    print(f"Report, opens in a browser: {evaluation.report}")


if __name__ == "__main__":
    sys.exit(main())
