"""``synthct_make_example`` refuses options that make no dataset."""

from __future__ import annotations

import pytest

from synthct.commands import make_example


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-3"], "--seed must not be negative, not -3"),
        (["--name", "a/b"], "not 'a/b'"),
        (["--name", ".."], "not '..'"),
        (["--name", "Köpfe"], "not 'Köpfe'"),
        (["--name", ""], "--name takes letters, digits, '_' and '-', at least one of them"),
        (["--voxel_scale", "0"], "--voxel_scale must lie in 0.5..8"),
        (["-d", "1000"], "from 1 to 999"),
        (["-d", "Small"], "not 'Small'"),
        (["-d", "Dataset002_Small", "--name", "Other"], "different names"),
    ],
)
def test_options_that_make_no_dataset_are_reported(checkout, refused, arguments, words):
    assert words in refused("make_example", *arguments)
    assert not list((checkout / "synthct_raw").iterdir())


def test_a_folder_of_other_files_is_not_touched(checkout, refused):
    folder = checkout / "synthct_raw" / "Dataset001_HeadPhantom"
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "imagesTr" / "P1_0000.nii.gz").write_text("somebody is preparing a dataset")
    for options in ([], ["--overwrite"]):
        assert folder.name in refused("make_example", *options)
    assert [path.name for path in folder.rglob("*.gz")] == ["P1_0000.nii.gz"]


@pytest.mark.parametrize(
    ("given", "name"),
    [(["-d", "Dataset002_Small"], "Dataset002_Small"), (["-d", "2"], "Dataset002_HeadPhantom")],
)
def test_a_dataset_is_given_by_number_or_name(checkout, capsys, given, name):
    assert make_example.main([*given, "--train", "1", "--test", "0", "--voxel_scale", "8", "-np", "1"]) == 0
    assert (checkout / "synthct_raw" / name / "dataset.json").is_file()
    assert "-d 2" in capsys.readouterr().out
