"""What is particular to the trainer ``unet``: its plan, its rate of learning, and the voxels that it learns from."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from same_training import assert_same_result, equal
from tiny_training import interrupted_at, make_configuration, make_plan, make_settings, make_trainer

from synthct.networks.unet import UNet
from synthct.planning.configurations import low_resolution, reference_configuration
from synthct.training.checkpoint import load_checkpoint
from synthct.training.distributed import Ranks
from synthct.training.unet import UNetRegression, UNetSettings

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def trainer() -> UNetRegression:
    return make_trainer("unet")


def a_batch(head: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mr, ct = torch.rand(2, 1, 1, 32, 32, generator=generator)
    return {"mr": mr, "ct": ct, "known": torch.ones_like(ct), "head": head}


def test_the_full_size_is_planned_with_six_levels_and_the_small_one_narrower():
    full = reference_configuration(1)
    small, _ = low_resolution(full)
    assert UNetRegression.plan_settings(full, None).settings.widths == (32, 64, 128, 256, 384, 512)
    planned = UNetRegression.plan_settings(small, None)
    assert planned.settings.widths[0] == round(32 * math.sqrt(small.network_width)) < 32
    assert set(planned.reasons) == {"widths"}


def test_voxels_outside_the_head_teach_nothing(trainer):
    head = torch.zeros(1, 1, 32, 32)
    head[..., 8:24, 8:24] = 1
    batch = a_batch(head)
    changed = batch | {"ct": torch.where(head > 0, batch["ct"], torch.tensor(7.0))}
    losses = [make_trainer("unet").training_step(each_batch)["l1"] for each_batch in (batch, changed)]
    assert losses[0] == losses[1] > 0
    expected = (trainer.networks["syn_ct"](batch["mr"]) - batch["ct"]).abs()[head > 0].mean()
    torch.testing.assert_close(losses[0], expected.detach())


def test_the_rate_rises_over_the_warm_up_and_falls_to_zero_as_a_cosine():
    trainer = make_trainer("unet", warm_up_steps=10)
    factors = [trainer.learning_rate_factor(0, step, 1000) for step in range(1000)]
    assert factors[0] == pytest.approx(1 / 11, rel=1e-3)
    assert max(factors) == factors[10] > 0.999
    assert factors[500] == pytest.approx(0.5)
    assert 0 < factors[-1] < 1e-5


def test_the_gradient_is_clipped(monkeypatch):
    norms = []
    trainer = make_trainer("unet", gradient_clip=0.01)
    weights = list(trainer.syn_ct.parameters())
    monkeypatch.setattr(
        trainer.synthesis, "step", lambda: norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in weights)))
    )
    trainer.training_step(a_batch(torch.ones(1, 1, 32, 32)))
    assert norms == [pytest.approx(0.01, rel=1e-3)]


def test_the_network_that_synthesises_is_the_average_of_the_weights_that_learn():
    trainer = make_trainer("unet", ema_decay=0.5)
    average = {name: weight.clone() for name, weight in trainer.networks["syn_ct"].state_dict().items()}
    for step in range(12):
        trainer.training_step(a_batch(torch.ones(1, 1, 32, 32)))
        decay = min(0.5, (1 + step) / (10 + step))
        for name, weight in trainer.syn_ct.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * weight
    for name, weight in trainer.networks["syn_ct"].state_dict().items():
        torch.testing.assert_close(weight, average[name], rtol=1e-4, atol=1e-6)
        assert not torch.equal(weight, trainer.syn_ct.state_dict()[name])
    mr = a_batch(torch.ones(1, 1, 32, 32))["mr"]
    with torch.no_grad():
        torch.testing.assert_close(trainer.sct_of(mr), trainer.networks["syn_ct"](mr))


def test_without_an_average_the_weights_of_the_last_step_synthesise():
    trainer = make_trainer("unet", ema_decay=0.0)
    assert trainer.syn_ct is trainer.networks["syn_ct"] and not trainer.averages


def test_a_model_to_predict_with_holds_the_average_alone(run):
    content = load_checkpoint(run("unet"))
    learning = content["averages"]["syn_ct"]["learning"]
    assert list(content["networks"]) == ["syn_ct"]
    assert content["networks"]["syn_ct"].keys() == learning.keys()
    assert not any(torch.equal(weight, learning[name]) for name, weight in content["networks"]["syn_ct"].items())


def test_its_batches_are_those_of_its_settings():
    training = make_configuration().training
    settings = dataclasses.replace(make_settings("unet"), batch_size=3)
    assert UNetRegression.training_plan(training, settings) == dataclasses.replace(training, batch_size=3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("widths", (32,)),
        ("widths", (32, 0)),
        ("batch_size", 0),
        ("gradient_clip", 0.0),
        ("warm_up_steps", -1),
        ("ema_decay", 1.0),
        ("augment_intensity", 1.1),
        ("augment_geometry", -0.1),
        ("left_right_flip", 2.0),
    ],
)
def test_a_setting_out_of_range_names_itself(key, value):
    with pytest.raises(ValueError, match=key):
        UNetSettings(**{key: value})


def test_channels_of_the_mr_are_channels_of_the_network():
    networks = UNetRegression.build_networks(make_configuration(mr_channels=2), make_settings("unet"))
    assert isinstance(networks["syn_ct"], UNet)
    assert networks["syn_ct"].down[0][0].in_channels == 2


# -- augmentation ------------------------------------------------------------------------------------------------------

AUGMENTED = {"augment_intensity": 0.5, "augment_geometry": 0.5, "left_right_flip": 0.5}


def in_plane(plane: str, **settings) -> UNetRegression:
    configuration = make_configuration()
    seen = dataclasses.replace(configuration.input, plane=plane)
    return make_trainer("unet", dataclasses.replace(configuration, input=seen), **settings)


def a_head() -> dict[str, torch.Tensor]:
    """As its coding would have it; no two pixels are the same."""
    head = torch.zeros(1, 1, 32, 32)
    head[..., 6:26, 8:20] = 1
    batch = a_batch(head)
    return batch | {name: torch.where(head > 0, batch[name], value) for name, value in (("mr", -2.0), ("ct", -1.0))}


def test_by_default_nothing_is_augmented(trainer):
    batch, before = a_head(), trainer.generators["augmentation"].get_state()
    assert trainer.augment(batch) is batch
    assert torch.equal(trainer.generators["augmentation"].get_state(), before)


@pytest.mark.parametrize("setting", ["augment_intensity", "augment_geometry"])
def test_augmentation_changes_what_it_is_named_after(setting):
    batch = a_head()
    augmented = make_trainer("unet", **{setting: 1.0}).augment(batch)
    assert not torch.equal(augmented["mr"], batch["mr"])
    for name in ("ct", "head"):
        assert torch.equal(augmented[name], batch[name]) == (setting == "augment_intensity")


@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
def test_left_and_right_are_exchanged_where_a_slice_shows_both(plane):
    batch = a_head()
    augmented = in_plane(plane, left_right_flip=1.0).augment(batch)
    for name, image in batch.items():
        assert torch.equal(augmented[name], image if plane == "sagittal" else image.flip(-1))


def test_a_step_draws_nothing_so_that_it_can_be_recorded():
    trainer = make_trainer("unet", **AUGMENTED)
    before = trainer.generators["augmentation"].get_state(), torch.get_rng_state()
    trainer.training_step(a_head())
    after = trainer.generators["augmentation"].get_state(), torch.get_rng_state()
    assert all(map(torch.equal, before, after))


def test_ranks_augment_differently():
    trainers = [
        UNetRegression(make_configuration(), make_settings("unet"), "cpu", ranks=Ranks(rank, 2)) for rank in range(2)
    ]
    assert len({trainer.generators["augmentation"].initial_seed() for trainer in trainers}) == 2


def test_an_augmented_training_that_is_stopped_goes_on_exactly(run, tmp_path):
    plan = make_plan(make_configuration(settings=AUGMENTED))
    run("unet", "whole", plan=plan)
    with pytest.raises(KeyboardInterrupt):
        run("unet", "stopped", plan=plan, progress=interrupted_at(3))
    run("unet", "stopped", plan=plan, resume=True)
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")
    run("unet", "plain")
    networks = [load_checkpoint(tmp_path / name / "checkpoint_final.pth")["networks"] for name in ("whole", "plain")]
    assert not equal(*networks)
