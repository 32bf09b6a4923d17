"""``synthct_predict``: a synthetic CT for every MR of a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthct import locks
from synthct.commands import console
from synthct.commands.argument_types import positive_number
from synthct.commands.threads import add_threads, use_threads
from synthct.counted import counted
from synthct.model_folder import ModelFolder
from synthct.paths import root_folder

if TYPE_CHECKING:
    from synthct.imaging.dicom.ct_series import CtSeriesSettings
    from synthct.inference import Predictor

FORMATS = ("dicom", "nii.gz", "nii", "mha", "mhd", "nrrd")  # as in synthct.inference.predict_folder, which loads slowly


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_predict",
        "Write a synthetic CT in HU for every MR of a folder: image files on the MR's own grid, or DICOM CT series of "
        "DICOM MRs in any nesting. "
        "Without -d, -tr, -c or -m the model that was trained last is used.",
        "synthct_predict -i mrs -o cts\nsynthct_predict -i dicom -o dicom_cts --mr_series MPRAGE --kvp 120\n"
        "synthct_predict -i dicom -o dicom_cts --body_contour\n"
        "synthct_predict -i mrs -o cts -d 1 -tr cyclegan -c 2d -f 0 1\n"
        "synthct_predict -i mrs -o cts --quality best\n"
        "synthct_predict -i mrs -o cts --scheduler tcp://node1:8786\n"
        "synthct_predict -d 1 -tr cyclegan --test_set",
    )
    parser.add_argument(
        "-i",
        dest="input",
        type=Path,
        metavar="FOLDER",
        help="MRs: PATIENT_0000.nii.gz, or DICOM files in any nesting",
    )
    parser.add_argument("-o", dest="output", type=Path, metavar="FOLDER", help="for the synthetic CTs")
    parser.add_argument(
        "--test_set",
        action="store_true",
        help="in place of -i and -o: the test patients of the model's dataset (imagesTs), into the model folder, where "
        "synthct_evaluate finds them",
    )
    console.add_model_choice(parser)
    parser.add_argument(
        "--quality",
        choices=["fast", "best"],
        default="fast",
        help="best: also mirrored heads, and the models of the same trainer that lie beside the model and differ from "
        "it in the plane of their slices alone, such as 2.5d_axial and 2.5d_coronal beside 2.5d; takes as many times "
        "longer as sCTs are combined (default: %(default)s)",
    )
    parser.add_argument(
        "--combine", choices=["mean", "median"], default="mean", help="of the folds (default: %(default)s)"
    )
    parser.add_argument(
        "--qa",
        choices=["off", "fast", "full"],
        default="fast",
        help="quality assurance, in the folder qa: fast sends every eighth slice of a cyclegan back to MR, full every "
        "slice, which takes twice the time (default: %(default)s)",
    )
    parser.add_argument(
        "--save_uncertainty",
        action="store_true",
        help="write the SD over the sCTs that are combined, HU, as qa/PATIENT_uncertainty",
    )
    parser.add_argument(
        "--save_cycle_error",
        action="store_true",
        help="cyclegan: write the error of MR -> CT -> MR, percent of the MR window, as qa/PATIENT_cycle_error; "
        "takes twice the time",
    )
    parser.add_argument("-device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    add_threads(parser)
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "bfloat16"],
        default="auto",
        help="auto takes bfloat16 where the device is faster in it; sCTs then differ by less than 1 HU on average "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--output_format",
        choices=FORMATS,
        help="dicom: a folder with an axial CT series a patient (default: the MR's format)",
    )
    parser.add_argument(
        "--mr_series",
        "--series",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="DICOM in: MR series by number, UID or part of the description; of several texts the first that a "
        "patient has, or one a channel for a model of several",
    )
    parser.add_argument(
        "--patients_by",
        choices=["id", "folder"],
        help="DICOM in: files of one PatientID, or of one folder directly below -i, are one patient's (default: id)",
    )
    parser.add_argument(
        "--continue_prediction",
        action="store_true",
        help="leave MRs alone whose sCT the same model has written into -o before (with --qa off no report "
        "names the model, and every sCT that is there counts)",
    )
    parser.add_argument("--kvp", type=positive_number, help="DICOM out: tube voltage, kV (default: 120)")
    parser.add_argument("--manufacturer", metavar="TEXT", help="DICOM out: of the scanner (default: synthct)")
    parser.add_argument(
        "--series_description", metavar="TEXT", help="DICOM out (default: Synthetic CT, not for clinical use)"
    )
    parser.add_argument(
        "--body_contour",
        action="store_true",
        help="DICOM out: write the outline of the head beside the slices, as an RT Structure Set with the ROI BODY "
        "of the type EXTERNAL",
    )
    console.add_skip_bad(parser)
    console.add_scheduler(parser)
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> Mapping[str, str]:
    _check_what_to_predict(arguments)
    console.use_large_pages()
    use_threads(arguments)
    from synthct.inference import Predictor
    from synthct.inference.predict_file import ModelFiles, QaSettings
    from synthct.inference.predict_folder import FolderOptions, predict_folder
    from synthct.training.device import select_device

    options = FolderOptions(
        arguments.output_format,
        _ct_settings(arguments),
        arguments.mr_series,
        arguments.patients_by or "id",
        arguments.continue_prediction,
        arguments.body_contour,
    )
    # The workers of a cluster choose the device each for itself; here the model is then only checked.
    alone = arguments.scheduler is None
    device, reason = select_device(arguments.device if alone else "cpu")
    folder = console.chosen_model_folder(arguments)
    how = {name: getattr(arguments, name) for name in ("checkpoint", "precision", "combine", "quality")}
    predictor = Predictor.from_model_folder(folder, arguments.folds, device=device, **how)
    folds = list(dict.fromkeys(arguments.folds or ModelFolder(folder).trained_folds(arguments.checkpoint)))
    here = f"{device} ({reason}) in {predictor.precision} ({predictor.precision_reason})"
    where = here if alone else f"the cluster at {arguments.scheduler}"
    print(f"Model: {folder}, fold {', '.join(folds)}, on {where}")
    if arguments.quality == "best":
        print(f"Combined: {'; '.join(predictor.combined_words())}")
    if predictor.method.dimensions == 3 and device.type == "cpu" and alone:
        print("It works on 3-D patches: on a CPU a patient takes minutes for each fold.")
    if arguments.test_set:
        return _predict_test_set(predictor, folder, folds, arguments)
    model = ModelFiles.of(folder, folds, device=arguments.device, **how)
    with (
        locks.writing(arguments.output, arguments.command),
        console.cluster(arguments, reads=[arguments.input, folder], writes=[arguments.output]) as executor,
    ):
        runner = console.case_runner(arguments, executor)
        written = predict_folder(
            predictor,
            arguments.input,
            arguments.output,
            options,
            settings=QaSettings(arguments.qa, arguments.save_uncertainty, arguments.save_cycle_error),
            model=model,
            runner=runner,
        )
    print(f"Wrote {counted(len(written), 'synthetic CT')} to {arguments.output}")
    if not written:
        return runner.left_out
    if arguments.qa != "off":
        _summarise(written)
    if written[0].is_dir():
        print(
            f"The DICOM files name the patient as the MR does, and the model as {predictor.model_hash}. "
            "They are not for clinical use."
        )
        print("Next: read the series into the planning system, and see documentation/how_to.md for its HU table.")
        return runner.left_out
    print(f"Next, with reference CTs at hand: synthct_evaluate -p {arguments.output} -r REFERENCE_CTS")
    return runner.left_out


def _check_what_to_predict(arguments: argparse.Namespace) -> None:
    from synthct.errors import DatasetError

    if not arguments.test_set:
        if arguments.input is None or arguments.output is None:
            raise DatasetError("Give a folder of MRs with -i and one for the synthetic CTs with -o, or --test_set.")
        return
    options = {
        "-i": arguments.input,
        "-o": arguments.output,
        "--output_format": arguments.output_format,
        "--mr_series": arguments.mr_series,
        "--patients_by": arguments.patients_by,
        "--scheduler": arguments.scheduler,
        "--continue_prediction": arguments.continue_prediction,
        "--body_contour": arguments.body_contour,
        "--quality best": arguments.quality == "best",
    }
    if given := [name for name, value in options.items() if value]:
        raise DatasetError(
            f"{given[0]} does not go with --test_set, which predicts MRs from imagesTs as one model does; leave it out."
        )


def _predict_test_set(
    predictor: Predictor, folder: Path, folds: list[str], arguments: argparse.Namespace
) -> Mapping[str, str]:
    from synthct.dataset.raw import RawDataset, find_dataset_folder
    from synthct.inference.predict_test_set import predict_test_set

    raw = RawDataset.open(find_dataset_folder(root_folder("synthct_raw"), predictor.plan.dataset_name))
    runner = console.case_runner(arguments)
    with locks.writing(ModelFolder(folder).test, arguments.command):
        written = predict_test_set(raw, predictor, folder, folds, checkpoint=arguments.checkpoint, runner=runner)
    print(f"Wrote {counted(len(written), 'synthetic CT')} of test patients to {written[0].parent}")
    print(f"Next: synthct_evaluate -d {int(raw.name[7:10])}")
    return runner.left_out


def _summarise(written: Sequence[Path]) -> None:
    """How many sCTs passed, and which did not."""
    from synthct.qa.qa_report import qa_path, read_status

    statuses = [read_status(qa_path(path))[0] for path in written]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in ("pass", "check", "fail"))
    print(f"Quality assurance: {counts}; reasons and measurements are in {qa_path(written[0]).parent}")


def _ct_settings(arguments: argparse.Namespace) -> CtSeriesSettings | None:
    """What the options say of DICOM series; None where they say nothing."""
    names = ("kvp", "manufacturer", "series_description")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if not given:
        return None
    from synthct.imaging.dicom.ct_series import CtSeriesSettings

    return CtSeriesSettings(**given)


if __name__ == "__main__":
    sys.exit(main())
