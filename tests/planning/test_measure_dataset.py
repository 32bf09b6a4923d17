"""What is measured in the raw images, and that unchanged cases are not measured again."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import PAIRED, write_dataset, write_image
from synthetic_heads import BONE_HU, Head, head_ct, head_truth, make_grid

from synthct.dataset.raw import RawDataset
from synthct.errors import DatasetError
from synthct.parallel import CaseRunner
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.measure_dataset import measure_case, measure_dataset, measure_volume, unchanged_cases


@pytest.fixture
def raw(tmp_path) -> RawDataset:
    return write_dataset(tmp_path / "Dataset001_Heads", {"P": PAIRED, "Q": {"ct"}})


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PIR", "SLA"])
def test_a_volume_is_measured_along_the_body_however_it_is_stored(orientation):
    grid = make_grid((95, 100, 85), (2, 2.5, 3), orientation, (0, 0, 8), (5, 6, 7))
    facts = measure_volume(head_ct(grid), head_truth(grid), "P")
    assert facts.size_xyz == grid.size_xyz and facts.spacing_mm_xyz == grid.spacing_mm_xyz
    assert facts.orientation == orientation
    assert facts.oblique_deg == pytest.approx(8, abs=0.1)
    assert (facts.minimum, facts.maximum) == (-1000, BONE_HU)
    inside = Head(grid).inside
    values = sitk.GetArrayFromImage(head_ct(grid))[inside].astype(float)
    assert facts.head_volume_l == pytest.approx(inside.sum() * 2 * 2.5 * 3 * 1e-6, abs=1e-3)
    assert facts.head_size_mm == pytest.approx((178, 208, 224), abs=8)
    assert facts.head_percentiles["50"] == np.percentile(values, 50)
    assert facts.head_mean == pytest.approx(values.mean(), abs=0.01)


def test_no_head_in_the_mask_is_reported_with_the_remedy():
    grid = make_grid((10, 10, 10))
    empty = grid.place(np.zeros(grid.array_shape, np.uint8))
    with pytest.raises(DatasetError, match="imagesTr/P_0000.nii: no head"):
        measure_volume(empty, empty, "imagesTr/P_0000.nii")


def test_a_case_is_measured_in_all_its_images(tmp_path):
    raw = write_dataset(tmp_path, {"P": PAIRED}, channels=("T1", "T2"))
    facts = measure_case(raw.training["P"])
    assert len(facts.mr) == 2 and facts.ct is not None and facts.paired
    assert facts.mr[0].head_mean > facts.mr[1].head_mean
    assert 2 < facts.ct.head_volume_l < 6
    assert facts.ct.minimum == -1000


def test_a_given_mask_is_what_slices_must_hold_and_volume_and_intensities_are_those_of_the_head(raw):
    without = measure_case(raw.training["P"])
    grid = make_grid((20, 20, 20), (2, 2, 2))  # a cube in the brain
    write_image(grid.place(np.ones(grid.array_shape, np.uint8)), raw.folder / "masksTr" / "P.nii.gz")
    facts = measure_case(RawDataset.open(raw.folder).training["P"])
    for volume, head in ((facts.mr[0], without.mr[0]), (facts.ct, without.ct)):
        assert max(volume.head_size_mm) == pytest.approx(40, abs=8)  # in voxels of 6 mm
        assert volume.head_volume_l == pytest.approx(head.head_volume_l, rel=0.01)
        assert volume.head_percentiles["50"] == pytest.approx(head.head_percentiles["50"], rel=0.01)


def test_unchanged_cases_are_taken_over_and_changed_ones_measured_again(raw):
    first = measure_dataset(raw)
    assert list(first.cases) == ["P", "Q"]
    assert unchanged_cases(raw, first) == first.cases
    assert unchanged_cases(raw, None) == {}
    os.utime(raw.training["Q"].ct, ns=(1, 1))
    assert list(unchanged_cases(raw, first)) == ["P"]
    raw.training["P"].ct.rename(raw.folder / "targetsTr" / "R.nii.gz")
    now = RawDataset.open(raw.folder)
    assert unchanged_cases(now, first) == {}
    second = measure_dataset(now, unchanged=unchanged_cases(now, first))
    assert list(second.cases) == ["P", "Q", "R"] and not second.cases["P"].paired


def test_workers_measure_the_same(raw, tmp_path):
    assert measure_dataset(raw, runner=CaseRunner(workers=2)) == measure_dataset(raw)
    measure_dataset(raw).save(tmp_path / "f.json")
    assert Fingerprint.load(tmp_path / "f.json") == measure_dataset(raw)
