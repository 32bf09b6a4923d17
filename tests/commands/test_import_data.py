"""``synthct_import`` on DICOM trees: series chosen, patients named anew, nothing that identifies carried along."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid
from synthetic_dicom import AXIAL, BIRTH_DATE, NAME, PATIENT_ID, SAGITTAL, straight_positions, write_series
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.commands import import_data, plan_and_preprocess
from synthct.dataset.importers import FORMATS
from synthct.dataset.integrity import check_dataset
from synthct.dataset.raw import RawDataset
from synthct.files import read_json
from synthct.imaging.geometry import Grid
from synthct.imaging.head_mask import head_mask_from_ct, volume_litres

SECRETS = (NAME, NAME.split("^")[0], NAME.split("^")[1], BIRTH_DATE, PATIENT_ID)
GE = Path(__file__).parents[3] / "shared" / "data" / "dicom_ct_ge"
IMPORT = ("-i", "scans", "-d", "3", "--name", "Brain", "-np", "1")


def write_image(folder: Path, image: sitk.Image, intercept: int, **options) -> str:
    """An image as a series of one file a slice, along its own axes; returns its UID."""
    axes = Grid.of(image).axes
    array = sitk.GetArrayFromImage(image)
    positions = [image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(len(array))]
    return write_series(
        folder,
        (np.clip(array, intercept, 4095 + intercept) - intercept).astype(np.uint16),
        np.array(positions),
        orientation=tuple(axes[:, :2].T.ravel()),
        pixel_spacing=image.GetSpacing()[1::-1],
        rescale=(1, intercept),
        **options,
    )


def write_patient(folder: Path, patient_id: str, *, size: float = 1.0, ct_id: str | None = None) -> None:
    """A sagittal MR, an axial CT and a localizer; the folder has the patient's name."""
    home = folder / f"{NAME} {patient_id}"
    mr = sitk.DICOMOrient(head_mr(make_grid((34, 42, 42), (6.0, 6.0, 6.0)), size=size), "PIR")
    ct = head_ct(make_grid((40, 46, 42), (5.0, 5.0, 6.0), centre_mm=(3, 2, 4)), size=size)
    image_type = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    flat = np.ones((3, 4, 4), np.uint16)
    write_series(home / "1", flat, straight_positions(3, 9, SAGITTAL), modality="MR", image_type=image_type,
                 patient_id=patient_id)  # fmt: skip
    write_image(home / "2", mr, 0, modality="MR", number=2, description="T1 MPRAGE", patient_id=patient_id)
    write_image(home / "3" / "ct", ct, -1024, number=3, description="Head 5mm", patient_id=ct_id or patient_id)


def raw_dataset(checkout: Path) -> RawDataset:
    raw = RawDataset.open(checkout / "synthct_raw" / "Dataset003_Brain")
    assert not raw.problems
    check_dataset(raw)
    return raw


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
    assert "Wrote 3 patients (2 training, 1 test)" in said.out
    assert "Next: synthct_plan_and_preprocess -d 3" in said.out and "different frames of reference" in said.out
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
    assert "T1 MPRAGE" in out and "[localizer]" in out and "Brain_001: MR series 2 'T1 MPRAGE', CT series 3" in out
    assert "1 patient can be imported, 0 not" in out and "1 patient: 1 pair, 0 MR only, 0 CT only" in out
    assert not list((checkout / "synthct_raw").iterdir())
    assert_no_secret(checkout, out)
    with open(checkout / "key.csv", newline="") as file:
        assert list(csv.reader(file)) == [["patient", "source"], ["Brain_001", f"{PATIENT_ID} in {NAME} {PATIENT_ID}"]]


def test_the_key_is_not_put_among_the_datasets_nor_over_another_file(checkout, refused):
    write_patient(checkout / "scans", PATIENT_ID)
    assert "somewhere else" in refused("import_data", *IMPORT, "--key_file", "synthct_raw/key.csv")
    (checkout / "key.csv").write_text("the key of another dataset")
    assert "holds something else" in refused("import_data", *IMPORT, "--key_file", "key.csv")
    assert not list((checkout / "synthct_raw").iterdir())


def test_several_volumes_are_listed_with_how_to_choose(checkout, refused, capsys):
    write_patient(checkout / "scans", PATIENT_ID)
    mr = head_mr(make_grid((34, 42, 42), (6.0, 6.0, 6.0)))
    write_image(checkout / "scans" / "more", mr, 0, modality="MR", number=8, description="T2 FLAIR")
    told = refused("import_data", *IMPORT)
    assert "T1 MPRAGE" in told and "T2 FLAIR" in told and "Choose with --mr_series" in told
    assert "42 x 42 x 34" in told and "6.00 x 6.00 x 6.00 mm" in told
    assert_no_secret(checkout, told)
    assert "no MR series is meant by 'PD'" in refused("import_data", *IMPORT, "--mr_series", "PD")
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
    told = refused("import_data", *IMPORT, "--mr_series", "T1 BRAVO", "mprage")
    assert f"UID {uid}" in told and told.count("2  MR") == 2  # they have one number
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
    told = refused("import_data", *IMPORT)
    assert "CT series 3 'Head 5mm': slices are missing" in told and "--skip_bad" in told
    assert "1 patient;" in told and not list((checkout / "synthct_raw").iterdir())
    assert import_data.main([*IMPORT, "--skip_bad"]) == 3
    said = capsys.readouterr()
    assert "Brain_00" in said.err and "is left out: CT series 3" in said.err and "Wrote 1 patient (" in said.out
    assert_no_secret(checkout, told, said.out, said.err)
    assert len(raw_dataset(checkout).training) == 1


def test_what_is_found_wrong_in_the_voxels_is_told_of_the_series_and_nothing_stays(checkout, refused):
    write_patient(checkout / "scans", PATIENT_ID)
    write_patient(checkout / "scans", "second")
    for path in (checkout / "scans" / f"{NAME} second" / "3" / "ct").iterdir():
        path.write_bytes(path.read_bytes()[:-500])
        break
    told = refused("import_data", *IMPORT)
    assert "CT series 3 'Head 5mm': image" in told and "cannot be decoded" in told
    assert_no_secret(checkout, told)
    assert not list((checkout / "synthct_raw").iterdir())


def test_a_ct_that_is_no_ct_is_told_by_its_series_not_by_a_file_that_is_gone(checkout, refused):
    flat = np.tile(np.arange(20, dtype=np.uint16), (20, 20, 1))
    write_series(checkout / "scans", flat, straight_positions(20, 3, AXIAL), rescale=(1, 0), description="Odd")
    told = refused("import_data", *IMPORT)
    assert "Brain_001: CT series 1 'Odd' is not in HU" in told and "partial" not in told


def test_every_format_can_be_chosen(capsys):
    with pytest.raises(SystemExit):
        import_data.main(["--help"])
    assert ",".join(FORMATS) in capsys.readouterr().out


def test_a_number_that_is_taken_is_told_before_the_folder_is_read(checkout, refused):
    (checkout / "synthct_raw" / "Dataset003_Old").mkdir()
    told = refused("import_data", *IMPORT)
    assert "Dataset003_Old is there already" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--name", "a/b"], "not 'a/b'"), (["-d", "1000"], "from 1 to 999"), (["-i", "none"], "none is not a folder")],
)
def test_options_that_make_no_dataset_are_told(checkout, refused, arguments, words):
    assert words in refused("import_data", *IMPORT, *arguments)


def test_file_names_of_pairs_are_replaced_where_that_is_asked_for(checkout):
    grid = make_grid((34, 42, 42), (6.0, 6.0, 6.0))
    for kind, image in (("mr", head_mr(grid)), ("ct", head_ct(grid))):
        (checkout / "scans" / kind).mkdir(parents=True)
        sitk.WriteImage(image, str(checkout / "scans" / kind / f"{PATIENT_ID}.nii.gz"))
    assert import_data.main([*IMPORT, "--rename", "--key_file", "key.csv"]) == 0
    assert list(raw_dataset(checkout).training) == ["Brain_001"]
    assert_no_secret(checkout)
    assert f"Brain_001,{PATIENT_ID}\n" in (checkout / "key.csv").read_text()


def write_two_persons(folder: Path, mr: dict[str, str], ct: dict[str, str]) -> None:
    """An MR and a CT under one PatientID, each in a folder of its own, with attributes of the patient."""
    grid = make_grid((34, 42, 42), (6.0, 6.0, 6.0))
    write_image(folder / "A", head_mr(grid), 0, modality="MR", number=2, patient_id="ANONYMOUS", **mr)
    write_image(folder / "B", head_ct(grid), -1024, number=3, patient_id="ANONYMOUS", **ct)


BORN, SEX, CALLED = "PatientBirthDate", "PatientSex", "PatientName"


@pytest.mark.parametrize(
    ("mr", "ct", "named"),
    [
        ({BORN: "19381222", SEX: "F"}, {BORN: "20010101", SEX: "M"}, (BORN, SEX)),
        ({BORN: "19381222", SEX: "F"}, {BORN: "19381223", SEX: "F"}, (BORN,)),
        ({BORN: "", SEX: "F"}, {BORN: "20010203", SEX: "M"}, (SEX,)),
        ({BORN: "", CALLED: "Latimer^Marjorie"}, {BORN: "19381222", CALLED: "Smith^James"}, (CALLED,)),
    ],
)
def test_two_persons_under_one_id_are_no_pair(checkout, refused, mr, ct, named):
    write_two_persons(checkout / "scans", mr, ct)
    told = refused("import_data", *IMPORT)
    assert "Brain_001" in told and "MR series 2 'Head'" in told and "CT series 3 'Head'" in told
    assert [name for name in (BORN, SEX, CALLED) if name in told] == [
        name for name in (BORN, SEX, CALLED) if name in named
    ]
    assert "PatientID (0010,0020)" in told and "--patients_by folder" in told
    assert not any(value in told for value in (*mr.values(), *ct.values()) if len(value) > 1)
    assert not list((checkout / "synthct_raw").iterdir())
    assert import_data.main([*IMPORT, "--patients_by", "folder"]) == 0
    assert [case.paired for case in raw_dataset(checkout).training.values()] == [False, False]


@pytest.mark.parametrize(
    ("mr", "ct"),
    [
        ({BORN: "", SEX: ""}, {BORN: "20010101", SEX: "M"}),
        ({BORN: "19380101"}, {BORN: "19381222"}),  # the year alone is left of one
        ({BORN: "19000101", SEX: "O"}, {BORN: "19381222", SEX: "F"}),
        ({CALLED: "Latimer^Marjorie"}, {CALLED: "Courtenay-Latimer^M"}),
        ({CALLED: "Latimer^Marjorie"}, {CALLED: "Smith^James"}),  # of one birth date: married since
        ({BORN: "", CALLED: "Latimer^Marjorie"}, {BORN: "", CALLED: "ANONYMOUS"}),
        ({BORN: "", CALLED: "P01_MR"}, {BORN: "", CALLED: "P01 CT"}),
    ],
)
def test_what_one_person_may_be_called_in_two_studies_makes_a_pair(checkout, mr, ct):
    write_two_persons(checkout / "scans", mr, ct)
    assert import_data.main([*IMPORT]) == 0
    assert [case.paired for case in raw_dataset(checkout).training.values()] == [True]


def test_persons_in_one_folder_that_the_user_takes_for_a_patient_are_warned_of(checkout, capsys):
    write_two_persons(checkout / "scans" / "P1", {BORN: "19381222"}, {BORN: "20010203"})
    assert import_data.main([*IMPORT, "--patients_by", "folder"]) == 0
    told = capsys.readouterr().err
    assert "Warning: Brain_001: " in told and BORN in told and "1938" not in told
    assert [case.paired for case in raw_dataset(checkout).training.values()] == [True]


def test_one_id_for_several_folders_of_patients_is_told_with_the_remedy(checkout, refused, capsys):
    for number in range(2):
        write_patient(checkout / "scans" / f"folder{number}", "ANONYMOUS", size=0.95 + 0.02 * number)
    told = refused("import_data", *IMPORT)
    assert "2 MR volumes" in told and "2 folders" in told and "--patients_by folder" in told
    assert import_data.main([*IMPORT, "--patients_by", "folder"]) == 0
    assert [case.paired for case in raw_dataset(checkout).training.values()] == [True, True]


def test_a_series_uid_a_slice_that_makes_no_stack_is_one_sentence(checkout, refused):
    write_patient(checkout / "scans", PATIENT_ID)
    flat = np.ones((40, 4, 4), np.uint16)
    each = lambda index: {"SeriesInstanceUID": generate_uid()}  # noqa: E731  and frames of reference of their own
    where = {"each": lambda index: {**each(index), "FrameOfReferenceUID": generate_uid()}, "patient_id": "H2"}
    write_series(checkout / "scans" / "2", flat, straight_positions(40, 3, AXIAL), modality="MR", **where)
    told = refused("import_data", *IMPORT)
    assert "40 MR images 'Head' have a SeriesInstanceUID (0020,000E) each" in told and told.count("\n") <= 2


@pytest.mark.skipif(not GE.is_dir(), reason="the real scans are not beside the checkout")
def test_a_real_ct_under_a_tilted_gantry_is_imported(checkout):
    assert import_data.main(["-i", str(GE), *IMPORT[2:]]) == 0
    case = raw_dataset(checkout).training["Brain_001"]
    assert case.ct is not None and not case.mr
    facts = read_json(checkout / "synthct_raw" / "Dataset003_Brain" / "import.json")["cases"]["Brain_001"]["ct"]
    assert facts["slices"] == 28 and facts["slices_moved_in_their_planes"]
    assert volume_litres(head_mask_from_ct(sitk.ReadImage(str(case.ct)))) == pytest.approx(3.4, abs=0.15)  # looked at


# -- pairs of folders, names of datasets -----------------------------------------------------------------------------


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
        assert counted in said.out and "No patient has both" not in said.err


def test_no_pair_where_there_are_mrs_and_cts_is_a_warning_with_the_remedy(checkout, capsys):
    write_pair_folders(checkout / "scans", ["A", "B"], ["x", "y"])
    for command, arguments, remedy in (
        (import_data, IMPORT, "--patient_pattern"),
        (plan_and_preprocess, ("-d", "3", "--verify_only"), "imagesTr/PATIENT_0000.nii.gz"),
    ):
        assert command.main([*arguments]) == 0
        said = capsys.readouterr()
        assert "4 patients: 0 pairs, 2 MR only, 2 CT only" in said.out
        assert "no problem found." not in said.out
        assert "Warning: No patient has both" in said.err and remedy in said.err and "rename the files" in said.err


def test_mr_and_ct_under_other_ids_are_a_warning_with_the_remedy(checkout, capsys):
    write_patient(checkout / "scans", PATIENT_ID, ct_id="other hospital")
    assert import_data.main([*IMPORT]) == 0
    said = capsys.readouterr()
    assert "2 patients: 0 pairs, 1 MR only, 1 CT only" in said.out and "--patients_by folder" in said.err


@pytest.mark.parametrize("given", [["Dataset004_X"], ["Dataset004_X", "--name", "X"], ["004", "--name", "X"]])
def test_a_dataset_is_named_as_nnunet_does(checkout, capsys, given):
    write_pair_folders(checkout / "scans", ["P1"], ["P1"])
    assert import_data.main(["-i", "scans", "-np", "1", "-d", *given]) == 0
    assert (checkout / "synthct_raw" / "Dataset004_X" / "dataset.json").is_file()
    assert "synthct_plan_and_preprocess -d 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["4"], "Dataset004_NAME"),
        (["Dataset004_X", "--name", "Y"], "different names"),
        (["Dataset4_X"], "not 'Dataset4_X'"),
        (["Dataset000_X"], "from 1 to 999"),
        (["Dataset004_a b"], "not 'a b'"),
        (["X"], "not 'X'"),
        (["²"], "not '²'"),
    ],
)
def test_what_names_no_dataset_is_told(checkout, refused, given, words):
    write_pair_folders(checkout / "scans", ["P1"], ["P1"])
    assert words in refused("import_data", "-i", "scans", "-d", *given)


def test_a_pattern_that_is_not_one_is_told(checkout, capsys):
    with pytest.raises(SystemExit) as fault:
        import_data.main([*IMPORT, "--patient_pattern", "P("])
    assert fault.value.code == 2 and "is not a regular expression" in capsys.readouterr().err
