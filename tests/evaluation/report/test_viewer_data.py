import base64
import gzip

import numpy as np
import pytest
from made_up_report import compared, row, turned

from synthct.evaluation.report.viewer_data import (
    CT_UNKNOWN,
    INSIDE,
    SPACING_MM,
    STEP_HU,
    Volumes,
    choose_patients,
    embed,
    within,
)


def unpacked(volume, shape, dtype):
    return np.frombuffer(gzip.decompress(base64.b64decode(volume)), dtype).reshape(shape)


def test_hu_positions_and_labels_survive_the_way_into_the_page():
    volumes = embed("P1", compared({"cyclegan": 100.0}, unknown_slices=8))
    ct = unpacked(volumes.ct, volumes.shape, "<i2") * STEP_HU
    sct = unpacked(volumes.scts["cyclegan"], volumes.shape, "<i2") * STEP_HU
    labels = unpacked(volumes.labels, volumes.shape, np.uint8)
    mr = unpacked(volumes.mr, volumes.shape, np.uint8)

    middle = tuple(size // 2 for size in volumes.shape)
    assert ct[middle] == 40 and sct[middle] == 140 and labels[middle] == INSIDE
    low, high = volumes.mr_range
    assert low + mr[middle] / 255 * (high - low) == pytest.approx(800, abs=4)
    bone = np.argwhere(ct > 600).mean(axis=0) - np.argwhere(labels & INSIDE).mean(axis=0)
    assert bone[0] > 5 and bone[1] < -5 and bone[2] > 5  # z to the head, y to the back, x to the left
    assert np.prod(volumes.shape) * SPACING_MM**3 < (2 * 15 * 5 + 40) ** 3  # cropped to the head
    unknown = labels & CT_UNKNOWN > 0
    assert unknown[0].all() and not unknown[middle] and not (labels[unknown] & INSIDE).any()


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "ASL"])
def test_the_axes_of_the_image_make_no_difference(orientation):
    case = compared({"cyclegan": 100.0})
    plain, other = embed("P1", case), embed("P1", turned(case, orientation))
    assert plain.shape == other.shape
    for name in ("ct", "labels", "mr"):
        dtype = "<i2" if name == "ct" else np.uint8
        a, b = (unpacked(getattr(of, name), of.shape, dtype).astype(int) for of in (plain, other))
        assert np.abs(a - b).max() <= 1  # rounding


def test_a_volume_of_equal_voxels_says_the_same_bytes_every_time():
    assert embed("P1", compared({"a": 1.0})) == embed("P1", compared({"a": 1.0}))


def test_the_worst_median_and_best_of_each_model_are_chosen_first():
    def rows(**maes):
        return [row(patient, mae) for patient, mae in maes.items()]

    maes = {"A": 50.0, "B": 90.0, "C": 40.0, "D": 60.0, "E": 80.0}
    chosen = choose_patients({"one": rows(**maes), "two": rows(A=10.0, B=20.0)}, 8)
    assert chosen == {
        "B": "worst with one, two",
        "D": "median with one",
        "A": "median with two; best with two",
        "C": "best with one",
        "E": "no. 2 of the worst with one",
    }
    assert list(choose_patients({"one": rows(**maes)}, 2)) == ["B", "D"]
    assert choose_patients({}, 3) == {}


def test_as_many_as_fit_are_taken_in_their_order():
    sizes = {"a": 50, "b": 70, "c": 20}
    volumes = [Volumes(name, (1, 1, 1), (0, 1), None, "x" * size, {}, "") for name, size in sizes.items()]
    assert [patient.patient for patient in within(volumes, 100)] == ["a", "c"]
    assert within(volumes, 10) == []
