"""``synthct_import`` on two folders of images: pairs by name and their number; how a dataset to be made is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk
from scans_to_import import IMPORT, write_patient
from synthetic_dicom import PATIENT_ID
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.commands import import_data, plan_and_preprocess


def write_pair_folders(folder: Path, mrs: list[str], cts: list[str]) -> None:
    grid = make_grid((34, 42, 42), (6.0, 6.0, 6.0))
    for kind, names, image in (("mr", mrs, head_mr(grid)), ("ct", cts, head_ct(grid))):
        (folder / kind).mkdir(parents=True)
        for name in names:
            sitk.WriteImage(image, str(folder / kind / f"{name}.nii.gz"))


def test_pairs_are_counted_by_import_list_and_verification(checkout, capsys):
    write_pair_folders(checkout / "scans", ["P1_T1", "P2_T1", "P3_T1"], ["P1_CT", "P2_CT", "P4_CT"])
    counted = "4 patients: 2 pairs, 1 MR only, 1 CT only"
    for command, *arguments in (
        [import_data, *IMPORT, "--list"],
        [import_data, *IMPORT],
        [plan_and_preprocess, "-d", "3", "--verify_only"],
    ):
        assert command.main(arguments) == 0
        said = capsys.readouterr()
        assert counted in said.out and "Warning" not in said.err


def test_no_pair_where_there_are_mrs_and_cts_is_a_warning_with_the_remedy(checkout, capsys):
    write_pair_folders(checkout / "scans", ["A", "B"], ["x", "y"])
    for command, arguments, remedy in (
        (import_data, IMPORT, "--patient_pattern"),
        (plan_and_preprocess, ("-d", "3", "--verify_only"), "imagesTr/PATIENT_0000.nii.gz"),
    ):
        assert command.main([*arguments]) == 0
        said = capsys.readouterr()
        assert "0 pairs, 2 MR only, 2 CT only" in said.out and "Warning" in said.err and remedy in said.err


def test_mr_and_ct_under_other_ids_are_a_warning_with_the_remedy(checkout, capsys):
    write_patient(checkout / "scans", PATIENT_ID, ct_id="other hospital")
    assert import_data.main([*IMPORT]) == 0
    said = capsys.readouterr()
    assert "0 pairs, 1 MR only, 1 CT only" in said.out and "--patients_by folder" in said.err


def test_how_interpolated_masks_were_read_is_reported(checkout, capsys):
    write_pair_folders(checkout / "scans", ["P1", "P2"], ["P1", "P2"])
    for patient, step in (("P1", 1.0), ("P2", 0.6)):
        head = sitk.ReadImage(str(checkout / "scans" / "ct" / f"{patient}.nii.gz")) > -400
        (checkout / "scans" / "masks").mkdir(exist_ok=True)
        mask = sitk.Cast(head, sitk.sitkFloat32) * step + (1 - step) / 2
        sitk.WriteImage(mask, str(checkout / "scans" / "masks" / f"{patient}.nii.gz"))
    assert import_data.main([*IMPORT]) == 0
    said = capsys.readouterr().out
    assert "P2: the mask" in said and "P1: the mask" not in said


@pytest.mark.parametrize("given", [["Dataset004_X"], ["Dataset004_X", "--name", "X"], ["004", "--name", "X"]])
def test_a_dataset_is_named_as_nnunet_does(checkout, capsys, given):
    write_pair_folders(checkout / "scans", ["P1"], ["P1"])
    assert import_data.main(["-i", "scans", "-np", "1", "-d", *given]) == 0
    assert (checkout / "synthct_raw" / "Dataset004_X" / "dataset.json").is_file()
    assert "synthct_plan_and_preprocess -d 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["4"], "Dataset004_NAME"),
        (["Dataset004_X", "--name", "Y"], "Y"),
        (["Dataset4_X"], "'Dataset4_X'"),
        (["Dataset000_X"], "999"),
        (["Dataset004_a b"], "'a b'"),
        (["X"], "'X'"),
        (["²"], "'²'"),
    ],
)
def test_what_names_no_dataset_is_reported(checkout, refused, given, named):
    write_pair_folders(checkout / "scans", ["P1"], ["P1"])
    assert named in refused("import_data", "-i", "scans", "-d", *given)


def test_a_pattern_that_is_not_one_is_reported(checkout, capsys):
    with pytest.raises(SystemExit) as fault:
        import_data.main([*IMPORT, "--patient_pattern", "P("])
    assert fault.value.code == 2 and "P(" in capsys.readouterr().err
