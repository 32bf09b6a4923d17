"""What is particular to the trainer ``unet3d``: its plan, where it is refused, and the volume that it synthesises."""

from __future__ import annotations

import dataclasses
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from same_training import assert_same_result, rows
from tiny_training import N_SLICES, PAIRED, interrupted_at, make_configuration, make_plan, make_settings, make_trainer

from synthct.errors import ModelError, PlanError, TrainingError
from synthct.networks.patches import SlabNetwork
from synthct.planning.configurations import low_resolution, reference_configuration, three_dimensional
from synthct.planning.method_settings import settings_of
from synthct.planning.plan import Configuration
from synthct.plugins import TRAINERS
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_stack import SliceStack
from synthct.training.unet3d import Patch, UNet3dRegression, UNet3dSettings

pytestmark = pytest.mark.usefixtures("no_figures")
CPU = torch.device("cpu")
FULL, _ = three_dimensional(reference_configuration(1))


def with_patch(patch: Patch, **input_changes) -> Configuration:
    configuration = make_configuration(settings={"patch": patch})
    return dataclasses.replace(configuration, input=dataclasses.replace(configuration.input, **input_changes))


# -- the plan --------------------------------------------------------------------------------------------------------


def planned(monkeypatch, gpu_gib: float | None, configuration: Configuration = FULL):
    properties = SimpleNamespace(total_memory=(gpu_gib or 0) * 2**30, name="a GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_gib is not None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    return UNet3dRegression.plan_settings(configuration, SimpleNamespace())


@pytest.mark.parametrize("gpu_gib", [None, 12, 80])
def test_voxels_of_a_millimetre_and_a_gpu_of_12_gib_get_the_full_patch_and_network(monkeypatch, gpu_gib):
    assert planned(monkeypatch, gpu_gib).settings == UNet3dSettings()
    assert UNet3dRegression.plan_settings(FULL, None).settings == UNet3dSettings()


def test_a_smaller_gpu_gets_a_smaller_patch_with_the_measurement_as_its_reason(monkeypatch):
    plan = planned(monkeypatch, 6)
    patch, reason = plan.settings.patch, plan.reasons["patch"]
    assert np.prod(patch) < 96 * 128 * 128 and all(side % 32 == 0 for side in patch)
    assert reason.measured["GPU"] == "a GPU, 6.0 GiB"
    assert 0 < reason.measured["estimated for a step, GiB"] <= 0.8 * 6
    assert min(planned(monkeypatch, 0.1).settings.patch) == 32  # which is tried where nothing smaller is sensible


def test_coarser_voxels_get_fewer_of_them_and_fewer_levels_within_the_slice(monkeypatch):
    small, _ = low_resolution(reference_configuration(1))
    settings = planned(monkeypatch, None, dataclasses.replace(small, dimensions=3)).settings
    assert settings.patch == (64, 64, 64)
    assert settings.widths == (16, 32, 64, 128, 160) and settings.blocks == (1, 3, 4, 6, 6)


def test_its_batches_and_crops_are_those_of_its_settings():
    settings = UNet3dSettings(patch=(32, 64, 48), batch_size=3)
    training = UNet3dRegression.training_plan(FULL.training, settings)
    assert (training.crop_size, training.batch_size) == ((64, 48), 3)
    assert UNet3dRegression.slab(settings) == 32


@pytest.mark.parametrize(
    ("key", "value"),
    [("patch", (3, 32, 32)), ("patch", (32, 30, 32)), ("patch", (32, 32, 32)), ("blocks", (1, 2)), ("batch_size", 0)],
)
def test_a_setting_out_of_range_names_itself(key, value):
    with pytest.raises(ValueError, match=key):
        UNet3dSettings(**{key: value})


def test_a_patch_larger_than_the_slices_is_refused_by_its_key():
    configuration = dataclasses.replace(with_patch((4, 64, 64)), dimensions=3)
    with pytest.raises(PlanError, match=r"methods\.unet3d: training\.crop_size \[64, 64\] is larger than"):
        settings_of("unet3d", configuration, "plans.json")


def test_slabs_have_no_neighbours_beside_them():
    configuration = make_configuration(dimensions=3)
    with pytest.raises(ValueError, match=r"input\.neighbours must be 0 where dimensions is 3, not 2"):
        dataclasses.replace(configuration, input=dataclasses.replace(configuration.input, neighbours=2))


# -- where it is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainer", list(TRAINERS.ours))
@pytest.mark.parametrize("error", [PlanError, ModelError])
def test_methods_of_slices_and_of_patches_are_refused_for_each_others_configurations(trainer, error):
    dimensions = TRAINERS.load(trainer).dimensions
    with pytest.raises(error, match="such as 2d" if dimensions == 2 else "such as 3d") as fault:
        settings_of(trainer, make_configuration(dimensions=5 - dimensions), "plans.json: configurations.x", error)
    assert f"configurations.x: the trainer {trainer} works on" in str(fault.value)
    settings_of(trainer, make_configuration(dimensions=dimensions), "plans.json: configurations.x", error)


def test_full_size_is_refused_on_a_cpu_with_what_it_would_take_and_what_to_do():
    with pytest.raises(TrainingError, match=r"96 x 128 x 128 voxels .* GiB of memory .* s a step; train it on a GPU"):
        UNet3dRegression.check_device(FULL, UNet3dSettings(), CPU)
    UNet3dRegression.check_device(FULL, UNet3dSettings(), torch.device("cuda"))
    UNet3dRegression.check_device(FULL, make_settings("unet3d"), CPU)


def test_a_training_refused_for_its_device_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr("synthct.training.unet3d.MAX_CPU_SECONDS", 0.0)
    with pytest.raises(TrainingError, match="train it on a GPU"):
        run("unet3d")
    assert not (tmp_path / "fold_0").exists()


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [(4, 32, 32), (6, 24, 28), (11, 32, 32)], ids=str)
def test_patches_within_and_beyond_the_volume_train_and_validate(run, tmp_path, patch):
    run("unet3d", plan=make_plan(with_patch(patch)), iterations=2)
    assert all(0 < float(row["val_mae_hu"]) < 2000 and 0 < float(row["l1"]) < 10 for row in rows(tmp_path / "fold_0"))


def test_augmented_patches_of_axial_slices_go_on_exactly_after_a_stop(run, tmp_path):
    augmented = {"augment_intensity": 0.5, "augment_geometry": 0.5, "left_right_flip": 0.5}
    configuration = make_configuration(settings={"patch": (8, 28, 28)} | augmented)
    plan = make_plan(
        dataclasses.replace(configuration, input=dataclasses.replace(configuration.input, plane="axial"),
                            training=dataclasses.replace(configuration.training, iterations_per_epoch=2))
    )  # fmt: skip
    run("unet3d", "whole", plan=plan)
    with pytest.raises(KeyboardInterrupt):
        run("unet3d", "stopped", plan=plan, progress=interrupted_at(3), loaders=1)
    run("unet3d", "stopped", plan=plan, resume=True)
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")


def test_the_figure_shows_the_middle_slice_of_a_slab(run, figures, tmp_path, caplog):
    caplog.set_level(logging.INFO, "synthct")
    run("unet3d", epochs=1, iterations=1)
    assert (tmp_path / "fold_0" / "progress.png").stat().st_size > 0 or "matplotlib is not installed" in caplog.text


# -- synthesis ---------------------------------------------------------------------------------------------------------


def test_a_volume_is_synthesised_whole_with_the_slices_between_those_that_show_the_head(preprocessed_folder):
    trainer = make_trainer("unet3d", patch=(4, 16, 16))
    stack = SliceStack.load(preprocessed_folder / "tiny" / f"{PAIRED[0]}.npz")
    network_input = NetworkInput(trainer.configuration.input, trainer.settings.coding)

    def mr(numbers: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.stack([network_input.mr(stack, i) for i in numbers]))

    shown = np.array([1, 2, 5, 6])
    with torch.no_grad():
        ((numbers, sct),) = trainer.synthesize_volume(trainer.networks, mr, shown, 1)
        whole = trainer.networks["syn_ct"](mr(np.arange(1, 7))[:, 0][None])[0]
    assert numbers is shown and sct.shape == (4, 1, 32, 32)
    assert torch.equal(sct[:, 0], whole[[0, 1, 4, 5]])
    assert list(trainer.synthesize_volume(trainer.networks, mr, shown[:0], 1)) == []


def test_a_patch_is_synthesised_in_a_prediction_as_in_a_training(preprocessed_folder):
    trainer = make_trainer("unet3d", patch=(N_SLICES, 32, 32))
    stack = SliceStack.load(preprocessed_folder / "tiny" / f"{PAIRED[0]}.npz")
    network_input = NetworkInput(trainer.configuration.input, trainer.settings.coding, slab=N_SLICES)
    slab = torch.from_numpy(network_input.paired(stack, 3)["mr"])[None]
    slices = torch.from_numpy(np.stack([network_input.mr(stack, i) for i in range(N_SLICES)]))
    with torch.no_grad():
        ((_, sct),) = trainer.synthesize_volume(trainer.networks, lambda n: slices[n], np.arange(N_SLICES), 1)
    assert torch.equal(trainer.sct_of(slab)[0], sct[:, 0])


def test_channels_of_the_mr_are_channels_of_the_network():
    configuration = make_configuration(mr_channels=2)
    network = UNet3dRegression.build_networks(configuration, make_settings("unet3d"))["syn_ct"]
    assert isinstance(network, SlabNetwork) and network.network.stem[0].in_channels == 2
    assert network(torch.rand(1, 2 * 5, 32, 32)).shape == (1, 5, 32, 32)
