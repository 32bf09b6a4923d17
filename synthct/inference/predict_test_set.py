"""A model's sCTs of the dataset's test patients: ``MODEL_FOLDER/test``, which the evaluation scores by itself."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from synthct.dataset.raw import RawDataset
from synthct.errors import DatasetError, ModelError
from synthct.files import read_json, sha256_of, write_json
from synthct.inference.predict_file import check_mrs, predict_file
from synthct.inference.predictor import Predictor
from synthct.json_dataclasses import from_plain, to_plain
from synthct.model_folder import CHECKPOINT_FINAL, ModelFolder
from synthct.parallel import IN_THIS_PROCESS, CaseRunner

_RECORD = "predicted_by.json"
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class TestSetRecord:
    """What predicted the test set: a checkpoint a fold, named with its content's hash; and of which patients."""

    format_version: int
    checkpoint: str
    folds: dict[str, str]
    patients: tuple[str, ...]

    __test__ = False  # for pytest, which takes the name for a test

    @staticmethod
    def load(model_folder: Path) -> TestSetRecord:
        """Read the record of a model folder.

        Raises:
            ModelError: it is missing or malformed.
        """
        path = ModelFolder(Path(model_folder)).test / _RECORD
        record = from_plain(TestSetRecord, read_json(path, ModelError), str(path), error=ModelError)
        if record.format_version != _FORMAT_VERSION:
            raise ModelError(f"{path} is of format {record.format_version}; predict the test set again.")
        return record

    def changed_folds(self, model_folder: Path) -> list[str]:
        """The folds that are gone, or that were trained again since."""
        return [
            fold
            for fold, written in self.folds.items()
            if _content_key(ModelFolder(Path(model_folder)).fold(fold).checkpoint(self.checkpoint)) != written
        ]


def predict_test_set(
    raw: RawDataset,
    predictor: Predictor,
    model_folder: Path,
    folds: list[str],
    *,
    checkpoint: str = CHECKPOINT_FINAL,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> list[Path]:
    """Write the sCT of every test patient with an MR to ``MODEL_FOLDER/test``, exactly as for a new patient.

    The head is found in the MR alone, or is the mask that the user gave. What was predicted there before is removed.

    Args:
        predictor: the model of ``folds``.
        folds: of ``model_folder``, whose sCTs are combined.
        checkpoint: the file of each fold that the predictor has read.
        runner: how MRs are checked; networks run in this process. Bad are the patients whose MR cannot be used.

    Raises:
        DatasetError: the dataset has no test patient with an MR.
        ImageError: naming the file that cannot be used.
    """
    cases = {patient: case for patient, case in raw.test.items() if case.mr}
    if not cases:
        raise DatasetError(f"{raw.folder} has no test patients; put MRs into imagesTs, and their CTs into targetsTs.")
    check_mrs(cases, runner=runner)
    cases = runner.good(cases)
    runner.check_any_left(cases)
    folder = ModelFolder(Path(model_folder)).test
    for leftover in folder.glob("*") if folder.is_dir() else ():
        if leftover.is_file():
            leftover.unlink()  # of an earlier model
    shutil.rmtree(folder / "qa", ignore_errors=True)
    keys = {fold: _content_key(ModelFolder(Path(model_folder)).fold(fold).checkpoint(checkpoint)) for fold in folds}
    jobs = {patient: (predictor, case, folder / f"{patient}{raw.file_ending}") for patient, case in cases.items()}
    done = runner.in_this_process().run(predict_file, jobs, describe="Test patients")
    runner.check_any_left(done)
    write_json(to_plain(TestSetRecord(_FORMAT_VERSION, checkpoint, keys, tuple(done))), folder / _RECORD)
    return [jobs[patient][-1] for patient in done]


def _content_key(path: Path) -> str:
    """Of a file's content, wherever it is copied to; empty where it is missing."""
    return sha256_of(path)[:16] if path.is_file() else ""
