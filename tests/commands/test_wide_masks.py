"""Masks that are far wider than the head, as SynthRAD's are: the same pairs, ranges and QA status as without them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import SimpleITK as sitk
from synthetic_datasets import make_network_tiny

from synthct.commands import evaluate, plan_and_preprocess, predict, train
from synthct.dataset.registration_record import RegistrationRecord
from synthct.imaging.head_mask import head_mask_from_mr
from synthct.model_folder import ModelFolder
from synthct.phantom import PhantomOptions, make_example_dataset
from synthct.planning.fingerprint import Fingerprint
from synthct.preprocessing.findings import load_findings
from synthct.qa import Reference

NAME, PATIENTS = "Dataset001_HeadPhantom", ("HEAD_001", "HEAD_002", "HEAD_003")
WIDER_BY = 4  # voxels, of 3.5 mm
SHIFT_MM = 12.0  # of the CT against the MR of the first patient


@dataclass(frozen=True)
class Home:
    """A folder in which all commands were run."""

    path: Path

    @property
    def preprocessed(self) -> Path:
        return self.path / "synthct_preprocessed" / NAME

    @property
    def model(self) -> ModelFolder:
        return ModelFolder(self.path / "synthct_results" / NAME / "pix2pix__plans__2d_lowres")

    @property
    def qa(self) -> dict[str, dict]:
        """The QA reports of the held-out patients and of the test patient, who has no mask."""
        files = [*self.model.fold("0").validation_qa.glob("*.json"), *(self.path / "cts" / "qa").glob("*.json")]
        return {path.stem: json.loads(path.read_text()) for path in files}


def run_all(folder: Path) -> Home:
    """Run all commands in a folder that holds the raw dataset."""
    raw = folder / "synthct_raw" / NAME
    with pytest.MonkeyPatch.context() as patch:
        for root in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
            patch.delenv(root, raising=False)
            (folder / root).mkdir(exist_ok=True)
        patch.chdir(folder)
        planning = ["-d", "1", "-c", "2d_lowres", "--register", "auto", "-np", "1"]
        assert plan_and_preprocess.main(planning) == 0
        make_network_tiny(folder / "synthct_preprocessed" / NAME / "plans.json")
        short = ["-c", "2d_lowres", "--epochs", "1", "--iterations", "3", "--loaders", "0", "-device", "cpu"]
        assert train.main(["1", "pix2pix", *short]) == 0
        assert predict.main(["-i", str(raw / "imagesTs"), "-o", "cts", "-device", "cpu"]) == 0
        assert evaluate.main(["-np", "1"]) == 0
    return Home(folder)


def move(path: Path) -> None:
    ct = sitk.ReadImage(str(path))
    ct.SetOrigin([here + by for here, by in zip(ct.GetOrigin(), (SHIFT_MM, 0.0, 0.0))])
    sitk.WriteImage(ct, str(path))


def write_wide_mask(mr: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    head = head_mask_from_mr(sitk.ReadImage(str(mr)))
    sitk.WriteImage(sitk.BinaryDilate(head, [WIDER_BY] * 3, sitk.sitkBall), str(path))


@pytest.fixture(scope="module")
def without(tmp_path_factory) -> Home:
    folder = tmp_path_factory.mktemp("without")
    raw = folder / "synthct_raw" / NAME
    make_example_dataset(raw, PhantomOptions(voxel_scale=4), n_train=3, n_test=1)
    move(raw / "targetsTr" / f"{PATIENTS[0]}.nii.gz")
    return run_all(folder)


@pytest.fixture(scope="module")
def wide(without, tmp_path_factory) -> Home:
    folder = tmp_path_factory.mktemp("wide")
    raw = folder / "synthct_raw" / NAME
    shutil.copytree(without.path / "synthct_raw" / NAME, raw)
    for patient in PATIENTS:
        write_wide_mask(raw / "imagesTr" / f"{patient}_0000.nii.gz", raw / "masksTr" / f"{patient}.nii.gz")
    return run_all(folder)


def test_the_pairs_are_the_same(without, wide):
    for patient in PATIENTS:
        records = [home.preprocessed / "registrations" / f"{patient}.json" for home in (without, wide)]
        one, other = (RegistrationRecord.load(path).registration for path in records)
        assert one.status == other.status == ("registered" if patient == PATIENTS[0] else "aligned")
        assert other.alignment.head_dice == pytest.approx(one.alignment.head_dice, abs=0.01)
        assert other.problems_found == ()


def test_the_preprocessing_report_judges_the_heads_and_not_the_masks(without, wide):
    for patient in PATIENTS:
        paths = [home.preprocessed / "report" / f"{patient}.json" for home in (without, wide)]
        one, other = (load_findings(path)[0] for path in paths)
        assert one.flags == other.flags == ()
        for fact in ("MR head (L)", "CT head (L)", "Dice of the heads"):
            assert other.facts[fact] == pytest.approx(one.facts[fact], rel=0.02)
        assert other.facts["Head mask"] == "given in masksTr"


def test_the_slices_are_of_the_mask_and_the_fingerprint_of_the_head(without, wide):
    fingerprints = [Fingerprint.load(home.preprocessed / "dataset_fingerprint.json") for home in (without, wide)]
    for one, other in zip(*(fingerprint.cases.values() for fingerprint in fingerprints)):
        assert other.mr[0].head_size_mm[1] > one.mr[0].head_size_mm[1] + 10
        assert other.mr[0].head_volume_l == one.mr[0].head_volume_l
        assert other.ct.head_percentiles["50"] == pytest.approx(one.ct.head_percentiles["50"], abs=5)


def test_new_patients_are_compared_with_heads(without, wide):
    """Once with 27 to 42 % of air, of masks that new patients do not have."""
    references = [Reference.load(home.model.path).patients for home in (without, wide)]
    for one, other in zip(*(records.values() for records in references)):
        assert other.mr == one.mr
        assert other.ct is one.ct is None or other.ct.air == pytest.approx(one.ct.air, abs=0.01)
        if one.output is not None:
            assert other.output.hu.air < 0.1 and one.output.hu.air < 0.1
            assert other.error.constant_mae_hu == pytest.approx(one.error.constant_mae_hu, rel=0.02)


def test_the_qa_status_is_the_same_for_held_out_and_new_patients(without, wide):
    statuses = [{patient: report["status"] for patient, report in home.qa.items()} for home in (without, wide)]
    assert statuses[0] == statuses[1] and set(statuses[0]) == {"HEAD_003", "HEAD_004"}
    for report in wide.qa.values():  # three steps of training
        assert report["status"] != "pass" and any("a CT of one HU everywhere" in one for one in report["reasons"])
