"""SynthRAD folders and pairs of folders become raw datasets that pass the integrity check."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import write_image
from synthetic_heads import head_ct, head_mr, head_truth, make_grid

from synthct.dataset.importers import import_dataset, list_folder
from synthct.dataset.integrity import check_dataset
from synthct.dataset.raw import RawDataset
from synthct.errors import DatasetError
from synthct.files import read_json
from synthct.parallel import CaseRunner

GRID = make_grid((34, 42, 42), (6.0, 6.0, 6.0))


def write_patient(folder: Path, ending: str, kinds=("mr", "ct", "mask")) -> None:
    images = {"mr": head_mr(GRID), "ct": head_ct(GRID), "mask": sitk.Cast(head_ct(GRID) > -400, sitk.sitkUInt8)}
    for kind in kinds:
        write_image(images[kind], folder / f"{kind}{ending}")


def imported(folder: Path, tmp_path: Path, **options) -> RawDataset:
    target = tmp_path / "raw" / "Dataset003_Brain"
    target.parent.mkdir(exist_ok=True)
    import_dataset(list_folder(folder, name="Brain"), target, **options)
    raw = RawDataset.open(target)
    assert not raw.problems
    check_dataset(raw)
    assert [path.name for path in target.parent.iterdir()] == [target.name]  # nothing temporary is left
    return raw


@pytest.mark.parametrize(
    ("where", "ending", "layout"),
    [
        ("Task1/brain/1BA001", ".nii.gz", "synthrad2023"),
        ("Task1/HN/1HNA001", ".mha", "synthrad2025"),
    ],
)
def test_a_synthrad_patient_keeps_id_voxels_and_mask(tmp_path, where, ending, layout):
    case = Path(where).name
    write_patient(tmp_path / "in" / where, ending)
    assert list_folder(tmp_path / "in", name="Brain").format == layout
    raw = imported(tmp_path / "in", tmp_path)
    assert list(raw.training) == [case] and raw.training[case].paired
    for kind, path in (
        ("mr", raw.training[case].mr[0]),
        ("ct", raw.training[case].ct),
        ("mask", raw.training[case].mask),
    ):
        before, after = sitk.ReadImage(str(tmp_path / "in" / where / f"{kind}{ending}")), sitk.ReadImage(str(path))
        assert (sitk.GetArrayFromImage(after) == sitk.GetArrayFromImage(before)).all()
        assert after.GetPixelID() == before.GetPixelID()
        assert np.allclose(after.GetOrigin(), before.GetOrigin(), atol=1e-4)
    assert read_json(raw.folder / "import.json")["cases"][case]["public_id"] == case


def test_only_heads_of_task_1_are_imported_and_the_others_are_reported(tmp_path):
    for case in ("Task1/brain/1BA001", "Task1/pelvis/1PA001", "Task1/pelvis/1PA004"):
        write_patient(tmp_path / "in" / case, ".nii.gz")
    write_patient(tmp_path / "in" / "Task2/brain/2BA001", ".nii.gz", ("ct", "mask"))
    listing = list_folder(tmp_path / "in", name="Brain")
    assert [case.patient for case in listing.cases] == ["1BA001"]
    assert "2 patients of task 1, region P" in listing.remarks[0] and "1 patients of task 2" in listing.remarks[1]
    with pytest.raises(DatasetError, match="region P"):
        list_folder(tmp_path / "in" / "Task1" / "pelvis", name="Brain")


def test_a_synthrad_patient_with_only_an_mr_is_legal(tmp_path):
    write_patient(tmp_path / "in" / "1BA001", ".nii.gz")
    write_patient(tmp_path / "in" / "1BA002", ".nii.gz", ("mr", "mask"))
    raw = imported(tmp_path / "in", tmp_path, masks=False)
    assert {name: case.paired for name, case in raw.training.items()} == {"1BA001": True, "1BA002": False}
    assert all(case.mask is None for case in raw.training.values())


@pytest.mark.parametrize(
    ("mr", "ct", "mask"), [("mr", "ct", "mask"), ("Images", "Targets", "Masks"), ("trainA", "trainB", "")]
)
def test_pairs_of_folders_are_matched_by_name(tmp_path, mr, ct, mask):
    folder = tmp_path / "in"
    write_image(head_mr(GRID), folder / mr / "P1_0000.nii.gz")
    write_image(head_ct(GRID), folder / ct / "P1.mha")
    write_image(head_mr(GRID), folder / mr / "P2_mr.nii.gz")
    write_image(head_ct(GRID), folder / ct / "P3-ct.nrrd")
    if mask:
        write_image(sitk.Cast(head_ct(GRID) > -400, sitk.sitkUInt16), folder / mask / "P1.nii.gz")
    raw = imported(folder, tmp_path)
    found = {name: (bool(case.mr), case.ct is not None, case.mask is not None) for name, case in raw.training.items()}
    assert found == {"P1": (True, True, bool(mask)), "P2": (True, False, False), "P3": (False, True, False)}


def test_what_a_file_carries_beside_voxels_is_left_behind(tmp_path):
    image = head_ct(GRID)
    image.SetMetaData("PatientName", "Quastenflosser")
    image.SetMetaData("ITK_FileNotes", "Quastenflosser")
    write_image(image, tmp_path / "in" / "ct" / "P1.mha")
    write_image(head_mr(GRID), tmp_path / "in" / "mr" / "P1.nii")
    raw = imported(tmp_path / "in", tmp_path)
    after = sitk.ReadImage(str(raw.training["P1"].ct))
    assert not any("Quastenflosser" in after.GetMetaData(key) for key in after.GetMetaDataKeys())


def test_a_mask_with_rings_of_a_spline_is_cut_at_one_half(tmp_path):
    head = head_truth(GRID)
    true = sitk.GetArrayFromImage(head) > 0
    rings = np.random.default_rng(0).uniform(-0.3, 0.3, true.shape)  # no voxel is 0, so all would be the head
    case = tmp_path / "in" / "1BA001"
    write_patient(case, ".nii.gz", ("mr", "ct"))
    write_image(GRID.place((true + rings).astype(np.float32)), case / "mask.nii.gz")
    raw = imported(tmp_path / "in", tmp_path)
    mask = sitk.ReadImage(str(raw.training["1BA001"].mask))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), true)
    assert "0.5" in read_json(raw.folder / "import.json")["cases"]["1BA001"]["mask"]


def test_a_mask_that_is_a_scan_is_refused_by_name(tmp_path):
    case = tmp_path / "in" / "1BA001"
    write_patient(case, ".nii.gz", ("mr", "ct"))
    write_image(head_ct(GRID), case / "mask.nii.gz")
    with pytest.raises(DatasetError, match=str(case / "mask.nii.gz")):
        imported(tmp_path / "in", tmp_path)


@pytest.mark.parametrize("name", ["P1_0000.nii.gz", "P1_mr.nii.gz"])
def test_two_files_of_one_patient_are_refused(tmp_path, name):
    write_image(head_mr(GRID), tmp_path / "mr" / "P1.nii.gz")
    write_image(head_mr(GRID), tmp_path / "mr" / name)
    write_image(head_ct(GRID), tmp_path / "ct" / "P1.nii.gz")
    with pytest.raises(DatasetError, match="'P1'"):
        list_folder(tmp_path, name="Brain")


def test_a_second_channel_is_refused(tmp_path):
    for channel in ("0000", "0001"):
        write_image(head_mr(GRID), tmp_path / "mr" / f"P1_{channel}.nii.gz")
    write_image(head_ct(GRID), tmp_path / "ct" / "P1.nii.gz")
    with pytest.raises(DatasetError, match="P1_0001.nii.gz"):
        list_folder(tmp_path, name="Brain")


def test_images_of_another_kind_are_reported_and_counted(tmp_path):
    write_image(head_mr(GRID), tmp_path / "mr" / "P1.nii.gz")
    write_image(head_ct(GRID), tmp_path / "ct" / "P1.nii.gz")
    (tmp_path / "ct" / "P2.png").write_bytes(b"")
    assert "1 file in ct is passed over" in list_folder(tmp_path, name="Brain").remarks[0]


def test_a_folder_of_another_layout_is_reported_with_the_layouts(tmp_path):
    with pytest.raises(DatasetError, match="1BA001/mr.nii.gz"):
        list_folder(tmp_path, name="Brain")
    with pytest.raises(DatasetError, match="layout pairs"):
        list_folder(tmp_path, "pairs", name="Brain")
    with pytest.raises(DatasetError, match="is not a folder"):
        list_folder(tmp_path / "none", name="Brain")


# Whole, or not at all


def test_problems_of_all_patients_are_reported_at_once_and_nothing_is_written(tmp_path):
    for case in ("P1", "P2", "P3"):
        write_image(head_mr(GRID), tmp_path / "in" / "mr" / f"{case}.nii.gz")
        write_image(head_ct(GRID), tmp_path / "in" / "ct" / f"{case}.nii.gz")
    write_image(head_ct(GRID) + 1024, tmp_path / "in" / "ct" / "P1.nii.gz")
    (tmp_path / "in" / "mr" / "P3.nii.gz").write_bytes(b"no image")
    listing, target = list_folder(tmp_path / "in", name="Brain"), tmp_path / "raw" / "Dataset003_Brain"
    target.parent.mkdir()
    with pytest.raises(DatasetError) as fault:
        import_dataset(listing, target)
    text = str(fault.value)
    assert f"P1: {tmp_path / 'in' / 'ct' / 'P1.nii.gz'} is not in HU" in text and "P3: " in text and "P2" not in text
    assert not list(target.parent.iterdir())
    runner = CaseRunner(bad={})
    imported = import_dataset(listing, target, runner=runner)
    assert imported.training == ("P2",) and len(runner.left_out) == 2
    check_dataset(RawDataset.open(target))


def test_patients_of_the_test_set(tmp_path):
    for case in ("1BA001", "1BA002"):
        write_patient(tmp_path / "in" / case, ".nii.gz")
    raw = imported(tmp_path / "in", tmp_path, test=["1BA002"])
    assert list(raw.training) == ["1BA001"] and list(raw.test) == ["1BA002"]
    with pytest.raises(DatasetError, match="1BA009"):
        import_dataset(list_folder(tmp_path / "in", name="X"), tmp_path / "raw" / "Dataset004_X", test=["1BA009"])


def test_a_number_that_is_taken_is_never_overwritten(tmp_path):
    write_patient(tmp_path / "in" / "1BA001", ".nii.gz")
    imported(tmp_path / "in", tmp_path)
    with pytest.raises(DatasetError, match="Dataset003_Brain"):
        import_dataset(list_folder(tmp_path / "in", name="Brain"), tmp_path / "raw" / "Dataset003_Other")


# Names


@pytest.mark.parametrize("pattern", [None, re.compile(r"P\d+")])
def test_names_with_modality_make_pairs_and_masks_go_along(tmp_path, pattern):
    for number in (1, 2, 3):
        write_image(head_mr(GRID), tmp_path / "in" / "mr" / f"P0{number}_T1.nii.gz")
        write_image(head_ct(GRID), tmp_path / "in" / "ct" / f"P0{number}_CT.nii.gz")
    write_image(sitk.Cast(head_ct(GRID) > -400, sitk.sitkUInt8), tmp_path / "in" / "masks" / "P02_mask.nii.gz")
    listing = list_folder(tmp_path / "in", name="Brain", patient_pattern=pattern)
    assert [(case.patient, case.mr.name, case.ct.name) for case in listing.cases] == [
        (f"P0{number}", f"P0{number}_T1.nii.gz", f"P0{number}_CT.nii.gz") for number in (1, 2, 3)
    ]
    assert [case.mask is not None for case in listing.cases] == [False, True, False]
    if pattern is None:
        assert "3 pairs" in listing.remarks[0] and "P01_T1.nii.gz and P01_CT.nii.gz" in listing.remarks[0]


def test_two_contrasts_of_one_patient_are_refused_with_the_remedy(tmp_path):
    for name in ("mr/P1_T1", "mr/P1_T2", "ct/P1_CT"):
        write_image(head_ct(GRID), tmp_path / f"{name}.nii.gz")
    with pytest.raises(DatasetError, match=r"P1_T1.nii.gz and P1_T2.nii.gz .*--patient_pattern"):
        list_folder(tmp_path, name="Brain")


def test_patients_numbered_from_zero_in_both_folders_are_pairs(tmp_path):
    for number in range(3):
        for kind in ("mr", "ct"):
            write_image(head_ct(GRID), tmp_path / kind / f"case_{number:04d}.nii.gz")
    listing = list_folder(tmp_path, name="Brain")
    assert [case.patient for case in listing.cases] == ["case_0000", "case_0001", "case_0002"]
    assert all(case.mr and case.ct for case in listing.cases)


def test_a_pattern_is_for_pairs_of_folders(tmp_path):
    write_patient(tmp_path / "1BA001", ".nii.gz")
    with pytest.raises(DatasetError, match="--patient_pattern"):
        list_folder(tmp_path, name="Brain", patient_pattern=re.compile("1BA"))
