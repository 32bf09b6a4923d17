"""What a dataset folder holds, by its names alone; names that do not fit are reported with the remedy."""

from __future__ import annotations

import json
import os
import re

import pytest
from synthetic_datasets import PAIRED, describe, write_dataset

from synthct.dataset.raw import RawDataset, find_dataset_folder
from synthct.errors import DatasetError
from synthct.imaging.io import FILE_ENDINGS


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "Dataset001_Heads"


def put(folder, *names: str) -> RawDataset:
    """Empty files of these names, then the listing."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return RawDataset.open(folder)


# -- dataset.json ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "missing"),
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "table"),
        ("{}", '"channel_names"'),
        ({"channel_names": {}, "file_ending": ".nii"}, '"channel_names"'),
        ({"channel_names": ["T1"], "file_ending": ".nii"}, '"channel_names"'),
        ({"channel_names": {"1": "T1"}, "file_ending": ".nii"}, '"channel_names"'),
        ({"channel_names": {"0": "T1", "2": "T2"}, "file_ending": ".nii"}, '"channel_names"'),
        ({"channel_names": {"0": 1}, "file_ending": ".nii"}, '"channel_names"'),
        ({"channel_names": {"0": "T1"}}, '"file_ending"'),
        ({"channel_names": {"0": "T1"}, "file_ending": "nii.gz"}, "'nii.gz'"),
        ({"channel_names": {"0": "T1"}, "file_ending": [".nii"]}, '"file_ending"'),
    ],
)
def test_a_description_that_cannot_be_used_is_told(folder, content, named):
    folder.mkdir()
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "dataset.json").write_text(text)
    with pytest.raises(DatasetError) as fault:
        RawDataset.open(folder)
    assert named in str(fault.value) and "dataset.json" in str(fault.value)


def test_a_byte_order_mark_and_further_keys_do_no_harm(folder):
    folder.mkdir()
    content = {"channel_names": {"0": "T1"}, "file_ending": ".nii", "licence": "CC0"}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8-sig")
    assert RawDataset.open(folder).channel_names == ("T1",)


@pytest.mark.parametrize(
    "others",
    [
        {"converted_by": "A. Physicist"},
        {"labels": {"background": 0}, "numTraining": 2, "regions_class_order": [1], "license": "CC0", "reference": "x",
         "release": "1", "citation": ["y"], "dataset_name": "X", "overwrite_image_reader_writer": "SimpleITKIO"},
        {"anything": {"of": ["another", "program"]}, "scanner": 3, "Description of the scan": "3 T"},
    ],
)  # fmt: skip
def test_keys_of_other_programs_are_accepted(folder, others):
    folder.mkdir()
    content = {"channel_names": {"0": "T1"}, "file_ending": ".nii"} | others
    (folder / "dataset.json").write_text(json.dumps(content))
    assert RawDataset.open(folder).file_ending == ".nii"


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("channel_name", "channel_names"), ("Channel_Names", "channel_names"), ("channelNames", "channel_names"),
        ("chanel_names", "channel_names"), ("file_endings", "file_ending"), ("fileEnding", "file_ending"),
        ("file ending", "file_ending"), ("Name", "name"), ("nmae", "name"), ("licences", "licence"),
        ("descripton", "description"),
    ],
)  # fmt: skip
def test_a_misspelt_key_is_named_with_the_right_one(folder, key, meant, kept):
    folder.mkdir()
    content = {"channel_names": {"0": "T1"}, "file_ending": ".nii"}
    content[key] = content.get(meant, "x") if kept else content.pop(meant, "x")
    (folder / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError) as fault:
        RawDataset.open(folder)
    assert str(folder / "dataset.json") in str(fault.value) and f"'{key}'" in str(fault.value)
    assert f"'{meant}'" in str(fault.value)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_paired_and_unpaired_patients_of_both_parts_are_listed(folder, ending):
    patients = {"B_001": PAIRED, "B_002": {"mr"}, "C": {"ct"}}
    write_dataset(folder, patients, ending=ending)
    raw = write_dataset(folder, {"T 1": PAIRED}, part="Ts", ending=ending)
    assert raw.problems == ()
    assert list(raw.training) == ["B_001", "B_002", "C"] and list(raw.test) == ["T 1"]
    assert [case.paired for case in raw.training.values()] == [True, False, False]
    assert raw.training["B_001"].mr[0].name == f"B_001_0000{ending}"
    assert raw.training["B_002"].ct is None and raw.training["C"].mr == ()


def test_channels_are_in_order(folder):
    raw = write_dataset(folder, {"P": PAIRED}, channels=("T1", "T2", "FLAIR"))
    assert [path.name[2:6] for path in raw.training["P"].mr] == ["0000", "0001", "0002"]


def test_a_mask_goes_with_its_patient(folder):
    describe(folder)
    raw = put(folder, "targetsTr/P.nii.gz", "masksTr/P.nii.gz")
    assert raw.training["P"].mask == folder / "masksTr" / "P.nii.gz"
    assert raw.training["P"].files == (folder / "targetsTr" / "P.nii.gz", folder / "masksTr" / "P.nii.gz")


def test_hidden_files_and_empty_folders_are_nothing(folder):
    describe(folder)
    raw = put(folder, "imagesTr/.DS_Store", "targetsTr/.P.nii.gz")
    assert raw.training == {} and raw.problems == ()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["imagesTr/P.nii.gz"], "P.nii.gz: an MR is named PATIENT_0000.nii.gz .* rename it to P_0000.nii.gz"),
        (["imagesTr/P_000.nii.gz"], "rename it to P_000_0000.nii.gz"),
        (["imagesTs/P.nii.gz"], "rename it to P_0000.nii.gz"),
        (["imagesTr/P_0000.nii"], r"P_0000.nii: dataset.json says that files end in .nii.gz; convert or remove"),
        (["targetsTr/P.mha"], r"P.mha: dataset.json says"),
        (["masksTr/notes.txt"], r"notes.txt: dataset.json says"),
        (["imagesTr/P_0000.NII.GZ"], r"dataset.json says"),
        (["imagesTr/P_0000.nii.gz", "imagesTr/P_0001.nii.gz"], "P_0001.nii.gz: channel 0001 is not in dataset.json"),
        (["imagesTr/P_0000.nii.gz", "targetsTr/P_0000.nii.gz"], "a CT has no channel number; rename it to P.nii.gz"),
        (["masksTr/Q.nii.gz"], "Q.nii.gz: there is neither an MR nor a CT of 'Q'; rename or remove the mask"),
    ],
)
def test_a_name_that_does_not_fit_is_one_problem_with_its_remedy(folder, names, words):
    describe(folder)
    sentences = {problem.sentence for problem in put(folder, *names).problems}
    assert len(sentences) == 1
    assert re.search(f"^{re.escape(str(folder))}.*{words}", sentences.pop())


def test_every_missing_channel_is_reported(folder):
    describe(folder, ("T1", "T2"))
    problems = put(folder, "imagesTr/P_0000.nii.gz", "imagesTr/Q_0001.nii.gz", "imagesTs/R_0000.nii.gz").problems
    assert len(problems) == 3
    for problem, name in zip(problems, ("Tr/P_0001.nii.gz", "Tr/Q_0000.nii.gz", "Ts/R_0001.nii.gz")):
        assert f"{name} is missing: every patient needs all 2 MR channel(s)" in problem.sentence


def test_the_data_file_beside_an_mhd_header_is_no_problem(folder):
    describe(folder, ending=".mhd")
    assert put(folder, "targetsTr/P.mhd", "targetsTr/P.raw", "targetsTr/Q.mhd", "targetsTr/Q.zraw").problems == ()
    describe(folder, ending=".mha")
    assert len(put(folder).problems) == 4


# -- keys ------------------------------------------------------------------------------------------------------------


def test_the_key_of_a_case_changes_with_every_file_of_it(folder):
    describe(folder)
    keys = [put(folder, "imagesTr/P_0000.nii.gz").training["P"].key()]
    keys.append(put(folder, "targetsTr/P.nii.gz").training["P"].key())
    keys.append(put(folder, "masksTr/P.nii.gz").training["P"].key())
    os.utime(folder / "masksTr" / "P.nii.gz", ns=(1, 1))
    keys.append(put(folder).training["P"].key())
    (folder / "masksTr" / "P.nii.gz").unlink()
    keys.append(put(folder).training["P"].key())
    assert len(set(keys)) == 4 and keys[4] == keys[1]


def test_the_key_of_an_mhd_case_changes_with_its_data_file(folder):
    describe(folder, ending=".mhd")
    before = put(folder, "targetsTr/P.mhd", "targetsTr/P.zraw").training["P"].key()
    (folder / "targetsTr" / "P.zraw").write_bytes(b"other voxels")
    assert put(folder).training["P"].key() != before


def test_the_key_of_a_case_stays_when_the_dataset_is_moved(folder):
    describe(folder)
    before = put(folder, "targetsTr/P.nii.gz").training["P"].key()
    moved = folder.rename(folder.with_name("Dataset002_Moved"))
    assert RawDataset.open(moved).training["P"].key() == before


# -- finding a dataset -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["1", "001", "01", "Dataset001_Brain"])
def test_a_dataset_is_found_by_number_or_name(tmp_path, given):
    for name in ("Dataset001_Brain", "Dataset010_Brain", "Dataset1_Brain"):
        (tmp_path / name).mkdir()
    (tmp_path / "Dataset001_file").touch()
    assert find_dataset_folder(tmp_path, given) == tmp_path / "Dataset001_Brain"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("3", "003 .*Dataset001_A, Dataset002_A, Dataset002_B"),
        ("Dataset009_A", "Dataset009_A"),
        ("2", "Dataset002_A, Dataset002_B"),
        ("²", "²"),
        ("-1", "-1"),
        ("Brain", "Brain"),
        (".", r"\."),
    ],
)
def test_a_dataset_that_cannot_be_found_is_told(tmp_path, given, named):
    for name in ("Dataset001_A", "Dataset002_A", "Dataset002_B", "Brain"):
        (tmp_path / name).mkdir()
    with pytest.raises(DatasetError, match=named):
        find_dataset_folder(tmp_path, given)


def test_an_empty_root_names_the_example(tmp_path):
    with pytest.raises(DatasetError, match="synthct_make_example"):
        find_dataset_folder(tmp_path, "1")


@pytest.mark.parametrize(
    ("kind", "command"),
    [("synthct_preprocessed", "synthct_plan_and_preprocess"), ("synthct_results", "synthct_train")],
)
def test_an_empty_folder_of_another_kind_names_what_fills_it(tmp_path, kind, command):
    with pytest.raises(DatasetError, match=command) as fault:
        find_dataset_folder(tmp_path, "1", kind)
    assert "synthct_make_example" not in str(fault.value)
