"""ONNX files give torch's HU in another runtime, and say what they are made for."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_files import head, write_trained_model
from own_methods import Odd, odd_networks, odd_plan, plug_in
from synthetic_datasets import small_plan
from tiny_models import tiny_networks

from synthct.dataset.images import CaseImages
from synthct.errors import ModelError
from synthct.exchange.onnx_export import LinearHu, export_onnx
from synthct.imaging.coding import Coding, GreyLevels, Standardised
from synthct.inference import Predictor
from synthct.inference.read_model import read_model
from synthct.inference.synthesis import synthesize_stack
from synthct.json_dataclasses import to_plain
from synthct.plugins import TRAINERS
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.network_input import padded_to_multiple

SLICES = ["unet", "unet_unpaired", "cyclegan", "cyclegan_nce", "pix2pix", "nie2017"]
TINY = {"base_channels": 2, "n_blocks": 1, "discriminator_base_channels": 2, "widths": (2, 4, 4), "n_levels": 3}
TINY_3D = {"widths": (2, 4), "blocks": (1, 1), "patch": (4, 32, 32)}


def plan_for(trainer: str, neighbours: int = 0):
    """The small plan with tiny networks of a trainer."""
    plan = small_plan()
    small, kind = plan.configurations["small"], TRAINERS.load(trainer).Settings
    tiny = TINY_3D if trainer == "unet3d" else TINY
    known = {name: value for name, value in tiny.items() if name in kind.__dataclass_fields__}
    methods = small.methods | {trainer: to_plain(kind(**known))}
    if trainer in ("cyclegan", "pix2pix"):
        methods = small.methods
    if trainer == "unet3d":
        small, methods = replace(small, dimensions=3), {trainer: methods[trainer]}
    seen = replace(small.input, neighbours=neighbours)
    return replace(plan, configurations={"small": replace(small, methods=methods, input=seen)})


@pytest.fixture
def runtime():
    pytest.importorskip("onnx")
    return pytest.importorskip("onnxruntime")


@pytest.fixture
def model(tmp_path):
    """Write a model folder of two folds."""
    return lambda trainer, **seen: write_trained_model(
        tmp_path / "results", trainer=trainer, plan=plan_for(trainer, **seen), evaluated=False
    )


def network_slices(folder, folds=None):
    """Network input of every slice of a head, (slices, channels, rows, cols), and the sCT that a prediction makes."""
    read = read_model(folder, folds)
    stack = slices_of_case(CaseImages("P", (head(),)), read.configuration.preprocessing)
    networks = [read.build_networks(states) for states in read.networks]
    sct = synthesize_stack(stack, read.method, read.input, networks, torch.device("cpu")).sct_hu
    view = stack.in_plane(read.input.plan.plane)
    shown = read.input.shown(view)
    return np.stack([read.input.mr(view, i) for i in shown.tolist()]), sct[shown]


@pytest.mark.parametrize(("trainer", "neighbours"), [*((trainer, 0) for trainer in SLICES), ("unet", 1)])
def test_another_runtime_gives_the_hu_of_a_prediction(runtime, model, tmp_path, trainer, neighbours):
    folder = model(trainer, neighbours=neighbours)
    written = export_onnx(folder, tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(written.path), providers=["CPUExecutionProvider"])
    mr, sct_hu = network_slices(folder)
    (given,) = session.run(["sct_hu"], {"mr": mr})
    assert given.shape == (len(mr), 1, *mr.shape[2:]) and (np.ptp(given) > 1 or trainer == "nie2017")
    assert np.abs(given[:, 0] - sct_hu).max() < 0.1
    assert written.folds == 2 and written.difference_hu < 0.1


@pytest.mark.parametrize("trainer", ["unet", "cyclegan", "pix2pix"])
def test_slices_may_have_any_size(runtime, model, tmp_path, trainer):
    folder = model(trainer)
    written = export_onnx(folder, tmp_path / "model.onnx", ["1"])
    assert written.folds == 1
    session = runtime.InferenceSession(str(written.path), providers=["CPUExecutionProvider"])
    mr = network_slices(folder)[0][10:13, :, 3:40, 5:36]
    read = read_model(folder, ["1"])
    networks = read.build_networks(read.networks[0])
    padded = torch.from_numpy(padded_to_multiple(mr, read.method.size_multiple, read.input.coding.mr_outside))
    with torch.no_grad():
        sct = read.method.synthesize(networks, padded)[..., :37, :31].numpy()
    np.testing.assert_allclose(session.run(None, {"mr": mr})[0], read.input.coding.network_to_hu(sct), atol=0.1)


def test_the_metadata_say_what_goes_in_and_that_hu_come_out(runtime, model, tmp_path):
    folder = model("pix2pix")
    written = export_onnx(folder, tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(written.path), providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    configuration = plan_for("pix2pix").configurations["small"]
    assert json.loads(said["slice_spacing_mm"]) == list(configuration.preprocessing.network_spacing_mm)
    assert json.loads(said["preprocessing"]) == to_plain(configuration.preprocessing)
    assert json.loads(said["coding_settings"]) == to_plain(configuration.methods["pix2pix"]["coding"])
    assert (said["coding"], said["output_unit"], said["trainer"]) == ("GreyLevels", "HU", "pix2pix")
    assert json.loads(said["channel_names"]) == ["MR0"] and json.loads(said["hu_range"]) == [-600, 1400]
    linear = json.loads(said["hu_of_network_output"])
    assert (linear["scale"], linear["offset"]) == pytest.approx((1000, 400), abs=1e-2)
    assert said["model_hash"] == Predictor.from_model_folder(folder, device="cpu").model_hash
    assert not any(patient in text for text in said.values() for patient in ("P1", "P2", "P3"))


@pytest.mark.parametrize("coding", [GreyLevels(), GreyLevels(ct_window_hu=(-1000.0, 3000.0)), Standardised()])
def test_how_our_codings_make_hu_is_found(coding):
    output = np.linspace(-3, 5, 99, dtype=np.float32)
    linear = LinearHu.of(coding)
    hu = linear.scale * output + linear.offset
    hu = hu if linear.low is None else np.clip(hu, linear.low, linear.high)
    np.testing.assert_allclose(hu, coding.network_to_hu(output), atol=0.01)


class Bent(Coding):
    """HU that go with the square of the output."""

    hu_range = (-1000.0, 3000.0)
    mr_outside = ct_outside = -1.0

    def mr_to_network(self, mr, inside, statistics):
        raise NotImplementedError

    def ct_to_network(self, hu, inside):
        raise NotImplementedError

    def network_to_hu(self, output):
        return 1000 * np.asarray(output, np.float32) * (1 + np.abs(output))


def test_a_coding_that_is_not_linear_is_noticed():
    assert LinearHu.of(Bent()) is None


def test_a_method_of_another_package_is_exported_or_refused_by_its_name(runtime, tmp_path, monkeypatch):
    plug_in(monkeypatch, odd=Odd)
    folder = write_trained_model(
        tmp_path / "results", trainer="odd", plan=odd_plan(), networks=odd_networks, evaluated=False
    )
    try:
        written = export_onnx(folder, tmp_path / "model.onnx")
    except ModelError as fault:
        assert "odd" in str(fault) and not (tmp_path / "model.onnx").exists()
    else:
        assert written.difference_hu < 0.1


@pytest.mark.parametrize("trainer", ["han2017", "dualgan", "unet3d", "pix2pix"])
def test_networks_that_the_format_cannot_hold_are_refused(runtime, model, tmp_path, monkeypatch, trainer):
    """Han's unpooling by places, DualGAN's layers whose padding follows the size of the slice, slabs, other HU."""
    if trainer == "pix2pix":
        monkeypatch.setattr("synthct.exchange.onnx_export.MAX_DIFFERENCE_HU", -1.0)
    with pytest.raises(ModelError, match=trainer) as fault:
        export_onnx(model(trainer), tmp_path / "model.onnx")
    assert "\n" not in str(fault.value)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_the_command_writes_it_and_keeps_a_file_that_is_there(runtime, here, run, refused):
    write_trained_model(here / "synthct_results", networks=tiny_networks)
    reported = " ".join(run("export_model", "--onnx", "model.onnx").split())
    assert "2 folds combined" in reported and "any size" in reported
    before = (here / "model.onnx").read_bytes()
    assert "--overwrite" in refused("export_model", "--onnx", "model.onnx")
    assert (here / "model.onnx").read_bytes() == before
    run("export_model", "--onnx", "model.onnx", "--overwrite", "-f", "1")
    assert (here / "model.onnx").read_bytes() != before
    assert "model.bin" in refused("export_model", "--onnx", "model.bin")
    assert "fold_9" in refused("export_model", "--onnx", "other.onnx", "-f", "9")
    assert sorted(path.name for path in here.iterdir()) == ["model.onnx", "synthct_results"]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_names_the_extra(here, refused, monkeypatch, package):
    write_trained_model(here / "synthct_results")
    monkeypatch.setitem(sys.modules, package, None)
    assert "synthct[onnx]" in refused("export_model", "--onnx", "model.onnx")
    assert not list(here.glob("*.onnx"))
