"""Run every command once on scans that identify, in the current directory: what tests/test_privacy.py starts."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from identities import PERSON, identifying_mrs, write_dicom_patient, write_into_nifti

from synthct.commands import evaluate, import_data, make_example, plan_and_preprocess, predict, train

DATASET = "Dataset003_Brain"


def run(command: object, *arguments: str) -> None:
    """A command as it is typed; it must succeed."""
    print(f"$ {command.__name__} {' '.join(arguments)}", flush=True)
    status = command.main(list(arguments))
    if status != 0:
        sys.exit(f"{command.__name__} ended with {status}")


def main() -> None:
    """Everything from DICOM to the report; ``--thorough``: with workers everywhere, and a registration."""
    thorough = "--thorough" in sys.argv
    workers = "2" if thorough else "1"
    for name in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
        Path(name).mkdir()
    scans, mrs = Path("input") / PERSON, Path("input")
    for number in range(3):
        write_dicom_patient(scans, number)
    identifying_mrs(mrs)
    run(make_example, "-d", "1", "--train", "1", "--test", "0", "--voxel_scale", "8", "-np", "1")
    run(import_data, "-i", str(scans), "-d", "3", "--name", "Brain", "--test", "Brain_003", "-np", "2")
    for image in (Path("synthct_raw") / DATASET).rglob("*.nii.gz"):
        write_into_nifti(image)
    run(plan_and_preprocess, "-d", "3", "-c", "2d_lowres", "-np", workers, "--register", "auto" if thorough else "off")
    model = ("-d", "3", "-c", "2d_lowres", "-device", "cpu")
    short = ("--epochs", "1", "--iterations", "2", "-device", "cpu")
    run(train, "3", "pix2pix", "-c", "2d_lowres", *short, *["--tensorboard"] * (find_spec("tensorboard") is not None))
    run(predict, *model, "-tr", "pix2pix", "--test_set")
    for ending in ("niigz", "mha", "nrrd"):
        run(predict, *model, "-i", str(mrs / PERSON / ending), "-o", f"scts_{ending}")
    run(predict, *model, "-i", str(scans), "-o", "scts_dicom", "--mr_series", "T1")
    run(predict, *model, "-i", str(scans), "-o", "scts_of_dicom", "--output_format", "nii.gz")
    run(evaluate, "-d", "3", "-np", workers)
    if not thorough:
        return
    references = Path("synthct_raw") / DATASET / "targetsTs"
    test = Path("synthct_results") / DATASET / "pix2pix__plans__2d_lowres" / "test"
    run(evaluate, "-p", str(test), "-r", str(references), "-o", "scores", "-np", "1")


if __name__ == "__main__":
    main()
