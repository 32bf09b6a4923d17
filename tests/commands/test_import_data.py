"""``synthct_import`` on DICOM trees: series chosen, patients named anew, nothing that identifies carried along."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scans_to_import import IMPORT, raw_dataset, write_image, write_patient
from synthetic_dicom import AXIAL, BIRTH_DATE, NAME, PATIENT_ID, straight_positions, write_series
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.commands import import_data, plan_and_preprocess
from synthct.dataset.importers import FORMATS
from synthct.dataset.raw import RawDataset
from synthct.files import read_json
from synthct.imaging.geometry import Grid
from synthct.imaging.head_mask import head_mask_from_ct, volume_litres

SECRETS = (NAME, NAME.split("^")[0], NAME.split("^")[1], BIRTH_DATE, PATIENT_ID)
GE = Path(__file__).parents[3] / "shared" / "data" / "dicom_ct_ge"


def assert_no_secret(checkout: Path, *texts: str) -> None:
    for path in (checkout / "synthct_raw").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        unpacked = gzip.decompress(content) if path.name.endswith(".gz") else b""
        for secret in SECRETS:
            assert secret not in path.name and secret.encode() not in content and secret.encode() not in unpacked
    for text in texts:
        assert not any(secret in text for secret in SECRETS)


def test_a_tree_of_patients_becomes_a_dataset_that_preprocesses(checkout, capsys):
    for number in range(3):
        write_patient(checkout / "scans", f"{PATIENT_ID}-{number}", size=0.95 + 0.02 * number)
    assert import_data.main([*IMPORT, "-np", "2", "--test", "Brain_002"]) == 0
    said = capsys.readouterr()
    assert "(2 training, 1 test)" in said.out and "synthct_plan_and_preprocess -d 3" in said.out
    raw = raw_dataset(checkout)
    assert list(raw.training) == ["Brain_001", "Brain_003"] and list(raw.test) == ["Brain_002"]
    assert all(case.paired for case in raw.training.values())
    facts = read_json(raw.folder / "import.json")["cases"]["Brain_001"]
    assert facts["same_frame_of_reference"] is False and facts["ct"]["spacing_mm_xyz"] == [5, 5, 6]
    assert_no_secret(checkout, said.out, said.err)
    assert plan_and_preprocess.main(["-d", "3", "-c", "2d_lowres", "-np", "1"]) == 0


def test_the_voxels_are_those_of_the_scan(checkout):
    write_patient(checkout / "scans", PATIENT_ID)
    assert import_data.main([*IMPORT]) == 0
    case = raw_dataset(checkout).training["Brain_001"]
    ct = sitk.ReadImage(str(case.ct))
    truth = head_ct(make_grid((40, 46, 42), (5.0, 5.0, 6.0), centre_mm=(3, 2, 4)))
    assert Grid.of(ct).matches(Grid.of(truth), 1e-3)
    assert np.abs(sitk.GetArrayFromImage(ct) - np.maximum(sitk.GetArrayFromImage(truth), -1024)).max() <= 1
    mr = sitk.ReadImage(str(case.mr[0]))
    assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(mr.GetDirection()) == "PIR"


def test_a_list_shows_the_series_and_writes_nothing_but_the_key_that_was_asked_for(checkout, capsys):
    write_patient(checkout / "scans", PATIENT_ID)
    assert import_data.main([*IMPORT, "--list", "--key_file", "key.csv"]) == 0
    out = capsys.readouterr().out
    assert "[localizer]" in out and "Brain_001: MR series 2 'T1 MPRAGE', CT series 3" in out
    assert "1 pair, 0 MR only, 0 CT only" in out
    assert not list((checkout / "synthct_raw").iterdir())
    assert_no_secret(checkout, out)
    with open(checkout / "key.csv", newline="") as file:
        assert list(csv.reader(file)) == [["patient", "source"], ["Brain_001", f"{PATIENT_ID} in {NAME} {PATIENT_ID}"]]


def test_the_key_is_not_put_among_the_datasets_nor_over_another_file(checkout, refused):
    write_patient(checkout / "scans", PATIENT_ID)
    assert "key.csv" in refused("import_data", *IMPORT, "--key_file", "synthct_raw/key.csv")
    (checkout / "key.csv").write_text("the key of another dataset")
    assert "key.csv" in refused("import_data", *IMPORT, "--key_file", "key.csv")
    assert not list((checkout / "synthct_raw").iterdir())


def test_several_volumes_are_listed_with_how_to_choose(checkout, refused, capsys):
    write_patient(checkout / "scans", PATIENT_ID)
    mr = head_mr(make_grid((34, 42, 42), (6.0, 6.0, 6.0)))
    write_image(checkout / "scans" / "more", mr, 0, modality="MR", number=8, description="T2 FLAIR")
    reported = refused("import_data", *IMPORT)
    for named in ("T1 MPRAGE", "T2 FLAIR", "--mr_series", "42 x 42 x 34", "6.00 x 6.00 x 6.00 mm"):
        assert named in reported
    assert_no_secret(checkout, reported)
    assert "'PD'" in refused("import_data", *IMPORT, "--mr_series", "PD")
    assert not list((checkout / "synthct_raw").iterdir())
    assert import_data.main([*IMPORT, "--mr_series", "flair"]) == 0
    mr = sitk.ReadImage(str(raw_dataset(checkout).training["Brain_001"].mr[0]))
    assert mr.GetSize() == (34, 42, 42)


def test_an_acquired_volume_goes_before_a_derived_one_and_a_number_before_words(checkout):
    write_patient(checkout / "scans", PATIENT_ID)
    mr = head_mr(make_grid((34, 42, 42), (6.0, 6.0, 6.0)))
    kind = ("DERIVED", "SECONDARY", "MPR")
    options = {"modality": "MR", "number": 8, "description": "reformatted 2", "image_type": kind}
    write_image(checkout / "scans" / "more", mr, 0, **options)
    assert import_data.main([*IMPORT]) == 0
    assert import_data.main([*IMPORT[:3], "4", *IMPORT[4:], "--mr_series", "2"]) == 0
    assert import_data.main([*IMPORT[:3], "5", *IMPORT[4:], "--mr_series", "8"]) == 0
    sizes = []
    for number in (3, 4, 5):
        raw = RawDataset.open(checkout / "synthct_raw" / f"Dataset00{number}_Brain")
        sizes.append(sitk.ReadImage(str(raw.training["Brain_001"].mr[0])).GetSize())
    assert sizes == [(42, 42, 34), (42, 42, 34), (34, 42, 42)]


def test_the_first_text_that_fits_chooses_and_uids_of_others_are_passed_over(checkout, refused, capsys):
    for number in range(2):
        write_patient(checkout / "scans", f"{PATIENT_ID}-{number}")
    mr = head_mr(make_grid((34, 42, 42), (6.0, 6.0, 6.0)))
    again = {"modality": "MR", "number": 2, "description": "T1 MPRAGE", "patient_id": f"{PATIENT_ID}-0"}
    uid = write_image(checkout / "scans" / "follow-up", mr, 0, **again)
    reported = refused("import_data", *IMPORT, "--mr_series", "T1 BRAVO", "mprage")
    assert f"UID {uid}" in reported and reported.count("2  MR") == 2  # they have one number
    assert import_data.main([*IMPORT, "--mr_series", uid]) == 0
    raw = raw_dataset(checkout)
    sizes = [sitk.ReadImage(str(case.mr[0])).GetSize() for case in raw.training.values()]
    assert sorted(sizes) == [(34, 42, 42), (42, 42, 34)]


def test_patients_whose_mr_and_ct_have_other_ids_are_joined_by_folder(checkout):
    write_patient(checkout / "scans", PATIENT_ID, ct_id="other hospital")
    assert import_data.main([*IMPORT]) == 0
    assert len(raw_dataset(checkout).training) == 2
    assert import_data.main([*IMPORT[:3], "4", *IMPORT[4:], "--patients_by", "folder"]) == 0
    raw = RawDataset.open(checkout / "synthct_raw" / "Dataset004_Brain")
    assert [case.paired for case in raw.training.values()] == [True]


def test_a_patient_with_missing_slices_stops_the_import_before_it_begins_or_is_left_out(checkout, refused, capsys):
    for number in range(2):
        write_patient(checkout / "scans", f"{PATIENT_ID}-{number}")
    for path in sorted((checkout / "scans" / f"{NAME} {PATIENT_ID}-0" / "3" / "ct").iterdir())[5:9]:
        path.unlink()
    reported = refused("import_data", *IMPORT)
    assert "CT series 3 'Head 5mm'" in reported and "--skip_bad" in reported
    assert not list((checkout / "synthct_raw").iterdir())
    assert import_data.main([*IMPORT, "--skip_bad"]) == 3
    said = capsys.readouterr()
    assert "Brain_00" in said.err and "CT series 3" in said.err
    assert_no_secret(checkout, reported, said.out, said.err)
    assert len(raw_dataset(checkout).training) == 1


def test_what_is_found_wrong_in_the_voxels_is_reported_of_the_series_and_nothing_stays(checkout, refused):
    write_patient(checkout / "scans", PATIENT_ID)
    write_patient(checkout / "scans", "second")
    for path in (checkout / "scans" / f"{NAME} second" / "3" / "ct").iterdir():
        path.write_bytes(path.read_bytes()[:-500])
        break
    reported = refused("import_data", *IMPORT)
    assert "CT series 3 'Head 5mm'" in reported
    assert_no_secret(checkout, reported)
    assert not list((checkout / "synthct_raw").iterdir())


def test_a_ct_that_is_no_ct_is_reported_by_its_series_not_by_a_file_that_is_gone(checkout, refused):
    flat = np.tile(np.arange(20, dtype=np.uint16), (20, 20, 1))
    write_series(checkout / "scans", flat, straight_positions(20, 3, AXIAL), rescale=(1, 0), description="Odd")
    reported = refused("import_data", *IMPORT)
    assert "Brain_001: CT series 1 'Odd'" in reported and "partial" not in reported


def test_every_format_can_be_chosen(capsys):
    with pytest.raises(SystemExit):
        import_data.main(["--help"])
    assert ",".join(FORMATS) in capsys.readouterr().out


def test_a_number_that_is_taken_is_reported_before_the_folder_is_read(checkout, refused):
    (checkout / "synthct_raw" / "Dataset003_Old").mkdir()
    assert "Dataset003_Old" in refused("import_data", *IMPORT)


@pytest.mark.parametrize(
    ("arguments", "named"), [(["--name", "a/b"], "'a/b'"), (["-d", "1000"], "999"), (["-i", "none"], "none ")]
)
def test_options_that_make_no_dataset_are_reported(checkout, refused, arguments, named):
    assert named in refused("import_data", *IMPORT, *arguments)


def test_file_names_of_pairs_are_replaced_where_that_is_asked_for(checkout):
    grid = make_grid((34, 42, 42), (6.0, 6.0, 6.0))
    for kind, image in (("mr", head_mr(grid)), ("ct", head_ct(grid))):
        (checkout / "scans" / kind).mkdir(parents=True)
        sitk.WriteImage(image, str(checkout / "scans" / kind / f"{PATIENT_ID}.nii.gz"))
    assert import_data.main([*IMPORT, "--rename", "--key_file", "key.csv"]) == 0
    assert list(raw_dataset(checkout).training) == ["Brain_001"]
    assert_no_secret(checkout)
    assert f"Brain_001,{PATIENT_ID}\n" in (checkout / "key.csv").read_text()


@pytest.mark.skipif(not GE.is_dir(), reason="the real scans are not beside the checkout")
def test_a_real_ct_under_a_tilted_gantry_is_imported(checkout):
    assert import_data.main(["-i", str(GE), *IMPORT[2:]]) == 0
    case = raw_dataset(checkout).training["Brain_001"]
    assert case.ct is not None and not case.mr
    facts = read_json(checkout / "synthct_raw" / "Dataset003_Brain" / "import.json")["cases"]["Brain_001"]["ct"]
    assert facts["slices"] == 28 and facts["slices_moved_in_their_planes"]
    assert volume_litres(head_mask_from_ct(sitk.ReadImage(str(case.ct)))) == pytest.approx(3.4, abs=0.15)  # looked at
