"""Plan and fingerprint to JSON and back; whatever does not fit is an error that names file and key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic_datasets import case_facts, fingerprint, small_plan, volume_facts

from synthct.errors import PlanError
from synthct.imaging.coding import MrWindow
from synthct.imaging.planes import PLANE_AXES
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import InputPlan, Plan, Reason, pixel_mm


@pytest.fixture
def path(tmp_path) -> Path:
    small_plan(2).save(tmp_path / "plans.json")
    return tmp_path / "plans.json"


def edit(path: Path, dotted: str, value: object) -> None:
    """Set, or with ``...`` delete, the value at a dotted path of a JSON file."""
    content = json.loads(path.read_text())
    *above, last = dotted.split(".")
    table = content
    for name in above:
        table = table[int(name) if isinstance(table, list) else name]
    if value is ...:
        del table[last]
    else:
        table[int(last) if isinstance(table, list) else last] = value
    path.write_text(json.dumps(content))


def message_of(path: Path) -> str:
    with pytest.raises(PlanError) as fault:
        Plan.load(path)
    assert str(fault.value).startswith(f"{path}: ") and "\n" not in str(fault.value)
    return str(fault.value)


def test_a_plan_is_the_same_after_json(path):
    assert Plan.load(path) == small_plan(2)


def test_reasons_hold_any_json(tmp_path):
    plan = Plan(**(vars(small_plan()) | {"reasons": {"n_folds": Reason("r", {"a": [1, {"b": None}]})}}))
    plan.save(tmp_path / "plans.json")
    assert Plan.load(tmp_path / "plans.json") == plan


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("planer", "default"),
        ("n_folds", ...),
        ("n_folds", "4"),
        ("configurations.small.training.learning_rat", 1),
        ("configurations.small.preprocessing.slice_plane", "oblique"),
        ("configurations.small.input.plane", "oblique"),
        ("configurations.small.preprocessing.ct_window_hu", [0, 1]),
        ("configurations.small.network", {}),
    ],
)
def test_an_unknown_missing_or_wrongly_typed_key_is_named(path, key, value):
    edit(path, key, value)
    assert f"'{key}'" in message_of(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preprocessing.spacing_mm", [1, 0.05, 0.87]),
        ("preprocessing.spacing_mm", [21, 1, 1]),
        ("preprocessing.slice_scale", 0),
        ("preprocessing.slice_size", [250, 256]),
        ("preprocessing.slice_size", [8, 8]),
        ("input.neighbours", -1),
        ("input.neighbours", 17),
        ("input.mr_channels", 0),
        ("network_width", 0),
        ("network_width", 11),
        ("training.crop_size", [30, 32]),
        ("training.padded_size", [40, 48]),
        ("training.batch_size", 0),
        ("training.epochs_constant", 0),
        ("training.epochs_decay", -1),
        ("training.iterations_per_epoch", 0),
        ("training.min_head_fraction", 1),
        ("training.precision", "float16"),
    ],
)
def test_a_value_out_of_range_is_reported_with_its_key(path, key, value):
    edit(path, f"configurations.small.{key}", value)
    message = message_of(path)
    *section, name = key.split(".")
    assert ".".join(["configurations.small", *section[:1]]) in message
    assert (section[1] if len(section) > 1 else name) in message


@pytest.mark.parametrize(("key", "value"), [("n_folds", 0), ("configurations", {})])
def test_a_value_of_the_whole_plan_out_of_range_is_reported(path, key, value):
    edit(path, key, value)
    assert key in message_of(path)


def test_channels_of_plan_and_input_must_agree(path):
    edit(path, "configurations.small.input.mr_channels", 1)
    assert "channel_names" in message_of(path) and "small.input.mr_channels" in message_of(path)


def test_a_crop_fits_into_the_slices_of_the_plane_that_is_stored(path):
    edit(path, "configurations.small.training.crop_size", [48, 52])
    edit(path, "configurations.small.training.padded_size", [48, 52])
    assert "training.crop_size [48, 52]" in message_of(path)
    edit(path, "configurations.small.input.plane", "axial")  # whose size differs by the head
    assert Plan.load(path).configurations["small"].training.crop_size == (48, 52)


def test_pixels_of_every_plane_follow_from_the_cached_voxels():
    preprocessing = small_plan(spacing_mm=(3.0, 2.0, 1.0), slice_scale=2.0).configuration("small").preprocessing
    assert preprocessing.network_spacing_mm == (3.0, 4.0, 2.0)  # left-right, SI, AP
    pixels = {plane: pixel_mm(preprocessing, plane) for plane in PLANE_AXES}
    assert pixels == {"sagittal": (4.0, 2.0), "axial": (2.0, 3.0), "coronal": (4.0, 3.0)}


@pytest.mark.parametrize(("neighbours", "mr_channels", "channels"), [(0, 1, 1), (2, 1, 5), (1, 3, 9)])
def test_a_network_is_shown_every_channel_of_the_slice_and_its_neighbours(neighbours, mr_channels, channels):
    assert InputPlan("axial", neighbours, mr_channels).channels == channels


def test_another_format_is_reported_with_the_remedy(path):
    edit(path, "format_version", 3)
    assert "format_version is 3" in message_of(path)


def test_a_missing_plan_is_reported(tmp_path):
    with pytest.raises(PlanError, match=str(tmp_path / "plans.json")):
        Plan.load(tmp_path / "plans.json")


def test_an_unknown_configuration_is_reported_with_those_that_there_are():
    with pytest.raises(PlanError, match="'3d'.*small"):
        small_plan().configuration("3d")


def test_a_percentile_window_lies_in_0_to_100_and_a_fixed_one_anywhere():
    MrWindow("fixed", -50, 30000)
    with pytest.raises(ValueError, match=r"0\.\.100"):
        MrWindow("percentile", -1, 99)


def test_slices_are_coarser_in_plane_than_the_volume_by_the_references_scale():
    preprocessing = small_plan(spacing_mm=(1.0, 0.87, 0.87)).configuration("small").preprocessing
    assert preprocessing.network_spacing_mm == pytest.approx((1.0, 0.97875, 0.97875))


# -- fingerprint -----------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_the_same_after_json(tmp_path):
    cases = {"P1": case_facts(volume_facts(), volume_facts(minimum=-1024.0)), "P2": case_facts(ct=volume_facts())}
    fingerprint(cases).save(tmp_path / "f.json")
    assert Fingerprint.load(tmp_path / "f.json") == fingerprint(cases)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("cases.P1.mr.0.size_xyz", [1, 2], "cases.P1.mr[0].size_xyz'"),
        ("cases.P1.ct", ..., "'cases.P1.ct'"),
        ("cases.P1.weight_kg", 70, "'cases.P1.weight_kg'"),
        ("format_version", 2, "format_version"),
    ],
)
def test_a_fingerprint_that_does_not_fit_is_reported(tmp_path, key, value, named):
    fingerprint({"P1": case_facts(volume_facts(), volume_facts())}).save(tmp_path / "f.json")
    edit(tmp_path / "f.json", key, value)
    with pytest.raises(PlanError) as fault:
        Fingerprint.load(tmp_path / "f.json")
    assert named in str(fault.value) and str(tmp_path / "f.json") in str(fault.value)
