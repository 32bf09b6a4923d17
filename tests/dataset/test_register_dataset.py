"""Registrations of a dataset: made once, kept, used by whatever reads a case, and never a failed one as a pair."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import describe, keep_registration, write_image

from synthct.dataset.images import read_case
from synthct.dataset.raw import RawDataset
from synthct.dataset.register_dataset import register_dataset, with_registrations
from synthct.dataset.registration_record import load_transform
from synthct.errors import DatasetError
from synthct.imaging.geometry import Grid
from synthct.phantom import make_phantom_patient

SCALE = 2.5  # times the reference's voxels
SHIFT_MM, TURN_DEG = 15.0, 8.0


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> RawDataset:
    """P1 is moved, P2 aligned, P3's CT shows no bone, P4 has no CT; T1 is P1 again, in the test set."""
    folder = tmp_path_factory.mktemp("raw") / "Dataset001_Heads"
    describe(folder)
    apart = make_phantom_patient(1, voxel_scale=SCALE, rigid_offset_mm=SHIFT_MM, rigid_offset_deg=TURN_DEG)
    aligned = make_phantom_patient(2, voxel_scale=SCALE, misalignment_mm=0)
    boneless = Grid.of(apart.ct).place(np.clip(sitk.GetArrayFromImage(apart.ct), -1024, 60))
    for patient, part, mr, ct in (
        ("P1", "Tr", apart.mr, apart.ct),
        ("P2", "Tr", aligned.mr, aligned.ct),
        ("P3", "Tr", apart.mr, boneless),
        ("P4", "Tr", apart.mr, None),
        ("T1", "Ts", apart.mr, apart.ct),
    ):
        write_image(mr, folder / f"images{part}" / f"{patient}_0000.nii.gz")
        if ct is not None:
            write_image(ct, folder / f"targets{part}" / f"{patient}.nii.gz")
    return RawDataset.open(folder)


@pytest.fixture(scope="module")
def truth() -> sitk.Transform:
    return make_phantom_patient(1, voxel_scale=4, rigid_offset_mm=SHIFT_MM, rigid_offset_deg=TURN_DEG).rigid


@pytest.fixture(scope="module")
def kept(raw, tmp_path_factory) -> Path:
    """The folder of registrations after ``--register auto``."""
    folder = tmp_path_factory.mktemp("preprocessed") / "registrations"
    register_dataset(raw, folder, "auto")
    return folder


@pytest.fixture
def registered(raw, kept) -> RawDataset:
    return with_registrations(raw, kept, "auto")


def test_only_what_is_not_aligned_is_moved(registered):
    status = {p: case.registration and case.registration.status for p, case in registered.training.items()}
    assert status == {"P1": "registered", "P2": "aligned", "P3": "failed", "P4": None}
    assert registered.test["T1"].registration.status == "registered"


def test_the_transform_beside_the_status_is_the_true_one_from_mr_to_ct(kept, truth):
    found = load_transform(kept / "P1.tfm")
    points = [(0.0, -90.0, -20.0), (60.0, 4.0, -37.0), (-60.0, 4.0, -37.0), (0.0, 4.0, 82.0)]
    error = [np.linalg.norm(np.subtract(found.TransformPoint(p), truth.TransformPoint(p))) for p in points]
    assert max(error) < 2.0


def test_a_registered_ct_is_read_where_the_mr_has_it_and_no_voxel_is_touched(raw, registered, truth):
    unregistered, moved = (read_case(dataset.training["P1"]).ct for dataset in (raw, registered))
    assert np.array_equal(sitk.GetArrayViewFromImage(unregistered), sitk.GetArrayViewFromImage(moved))
    index = (60, 50, 40)
    in_mr = moved.TransformIndexToPhysicalPoint(index)
    assert truth.TransformPoint(in_mr) == pytest.approx(unregistered.TransformIndexToPhysicalPoint(index), abs=2.0)


def test_a_patient_whose_registration_failed_is_not_a_pair_and_the_ct_stays(raw, registered):
    case = registered.training["P3"]
    assert not case.paired
    assert not read_case(case).aligned
    assert Grid.of(read_case(case).ct) == Grid.of(read_case(raw.training["P3"]).ct)
    assert any("bone" in objection for objection in case.registration.problems_found)


def test_what_is_kept_is_not_made_again(raw, kept):
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    register_dataset(raw, kept, "auto")
    assert before == {path: path.stat().st_mtime_ns for path in kept.iterdir()}


def test_another_mode_or_other_files_ask_for_another_registration(raw, kept):
    assert with_registrations(raw, kept, "always").training["P1"].registration is None
    path = raw.training["P2"].ct
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    try:
        assert with_registrations(raw, kept, "auto").training["P2"].registration is None
    finally:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_transform_of_the_users_own_is_taken_and_judged(raw, kept, tmp_path):
    only_p3 = replace(raw, training={"P3": raw.training["P3"]}, test={})
    own = sitk.AffineTransform(3)
    own.SetTranslation((1.0, 2.0, 3.0))
    assert not (kept / "P3.tfm").exists()  # ours is not left where it could be taken for the user's
    (tmp_path / "P3.json").write_bytes((kept / "P3.json").read_bytes())
    sitk.WriteTransform(own, str(tmp_path / "P3.tfm"))
    case = register_dataset(only_p3, tmp_path, "auto").training["P3"]
    assert case.paired
    assert case.registration.status == "given" and case.registration.moves_as(own)
    assert case.registration.problems_found
    assert (
        sitk.ReadTransform(str(tmp_path / "P3.tfm")).GetName() == "AffineTransform"
    )  # the user's file is left as it is
    again = register_dataset(only_p3, tmp_path, "always").training["P3"]
    assert again.registration.status == "given"


def test_a_transform_that_is_not_rigid_is_an_error_that_names_it(tmp_path):
    stretched = sitk.AffineTransform(3)
    stretched.Scale(1.1)
    path = tmp_path / "P1.tfm"
    sitk.WriteTransform(stretched, str(path))
    with pytest.raises(DatasetError, match=r"P1\.tfm is not rigid"):
        load_transform(path)
    path.write_text("nonsense")
    with pytest.raises(DatasetError, match=r"P1\.tfm is not a transform"):
        load_transform(path)


def test_a_damaged_status_is_reported_and_made_again(raw, kept, tmp_path, caplog):
    for name in ("P2.tfm", "P2.json"):
        (tmp_path / name).write_bytes((kept / name).read_bytes())
    (tmp_path / "P2.json").write_text("{")
    logging.getLogger("synthct").propagate = True
    with caplog.at_level(logging.WARNING, logger="synthct"):
        assert with_registrations(raw, tmp_path, "auto").training["P2"].registration is None
    assert "P2.json is not valid JSON" in caplog.text


def test_a_transform_that_a_full_disk_cuts_off_is_not_kept(raw, tmp_path, monkeypatch):
    """ITK says nothing of it."""
    case = next(case for case in raw.training.values() if case.paired)
    write, seen = sitk.WriteTransform, []

    def cut_off(transform: sitk.Transform, path: str) -> None:
        write(transform, path)
        seen.append(path)
        os.truncate(path, os.path.getsize(path) // 2)

    monkeypatch.setattr(sitk, "WriteTransform", cut_off)
    with pytest.raises(OSError, match="No space left"):
        keep_registration(case, tmp_path / "kept")
    assert seen and [path.name for path in (tmp_path / "kept").iterdir()] == [f"{case.patient}.json"]
