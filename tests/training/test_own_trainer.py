"""A method of another package: its own settings, coding, network and optimiser, known by its registry entry alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from same_training import assert_same_result, rows
from tiny_training import interrupted_at
from torch import nn

from synthct import plugins
from synthct.errors import PlanError, TrainingError
from synthct.imaging.coding import Coding
from synthct.json_dataclasses import to_plain
from synthct.planning.plan import Plan
from synthct.training.checkpoint import load_checkpoint
from synthct.training.losses import masked_l1_loss
from synthct.training.trainer import Trainer
from synthct.training.what_to_train import with_settings_of

pytestmark = pytest.mark.usefixtures("no_figures")


@dataclass(frozen=True)
class ZScores(Coding):
    """MR in SDs from the head's mean, CT in kHU."""

    hu_per_unit: float = 1000.0
    mr_outside, ct_outside = -3.0, -1.0

    def mr_to_network(self, mr, inside, statistics):
        scores = [(channel - head.mean) / head.sd for channel, head in zip(mr, statistics)]
        return np.where(inside, scores, self.mr_outside).astype(np.float32)

    def ct_to_network(self, hu, inside):
        return np.where(inside, hu / self.hu_per_unit, self.ct_outside).astype(np.float32)

    def network_to_hu(self, output):
        return output * np.float32(self.hu_per_unit)

    @property
    def hu_range(self):
        return -1024.0, 3071.0


@dataclass(frozen=True)
class RegressionSettings:
    """Of :class:`Regression`."""

    coding: ZScores = ZScores()
    width: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.01


class Regression(Trainer):
    """Paired regression with dropout and batch norm."""

    Settings, paired, to_predict, size_multiple = RegressionSettings, True, ("network",), 1

    @classmethod
    def build_networks(cls, configuration, settings):
        first = nn.Conv2d(configuration.input.channels, settings.width, 3, padding=1)
        inner = (nn.BatchNorm2d(settings.width), nn.ReLU(), nn.Dropout2d(0.3))
        return {"network": nn.Sequential(first, *inner, nn.Conv2d(settings.width, 1, 3, padding=1))}

    @classmethod
    def synthesize(cls, networks, mr):
        return networks["network"](mr)

    def prepare_training(self):
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        self.adamw = torch.optim.AdamW(self.networks["network"].parameters(), lr=rate, weight_decay=decay)
        self.add_optimiser("adamw", self.adamw)

    def training_step(self, batch):
        loss = masked_l1_loss(self.networks["network"](batch["mr"]), batch["ct"], batch["known"])
        self.update(self.adamw, loss)
        return {"l1": loss.detach()}


@pytest.fixture(autouse=True)
def installed(monkeypatch) -> None:
    """As the entry point of a package ``my-method`` would have it."""
    dist = SimpleNamespace(name="my-method", version="0.1")
    point = SimpleNamespace(name="regression", value="my_method:Regression", load=lambda: Regression, dist=dist)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "synthct.trainers" else [])


def with_methods(plan: Plan, **changes) -> Plan:
    """The plan, stating the method's settings with these changes; None leaves a key out."""
    settings = {key: value for key, value in (to_plain(RegressionSettings()) | changes).items() if value is not None}
    tiny = dataclasses.replace(plan.configurations["tiny"], methods={"regression": settings})
    return dataclasses.replace(plan, configurations={"tiny": tiny})


@pytest.mark.parametrize("loaders", [0, 1])
def test_it_trains_and_a_stopped_training_goes_on_exactly(run, plan, tmp_path, loaders):
    planned = with_methods(plan)
    run("regression", "whole", plan=planned, epochs=3, loaders=loaders)
    assert [row["step"] for row in rows(tmp_path / "whole")] == ["4", "8", "12"]
    assert all(float(row["l1"]) > 0 and 0 < float(row["val_mae_hu"]) < 3000 for row in rows(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run("regression", "stopped", plan=planned, epochs=3, progress=interrupted_at(6), loaders=loaders)
    run("regression", "stopped", plan=planned, resume=True, loaders=loaders)
    assert_same_result(tmp_path / "whole", tmp_path / "stopped")


def test_looking_at_held_out_slices_changes_nothing_in_the_training(run, plan, split, tmp_path):
    """Dropout draws no random number there, batch norm does not learn."""
    first, second = (run("regression", name, plan=with_methods(plan), split=split | {"val": val})
                  for name, val in (("with", split["val"]), ("without", [])))  # fmt: skip
    for key, weight in load_checkpoint(first)["networks"]["network"].items():
        assert torch.equal(weight, load_checkpoint(second)["networks"]["network"][key])


def test_its_optimiser_computes_after_loading_as_before(plan):
    tiny = plan.configurations["tiny"]
    trainer = Regression(tiny, RegressionSettings(), "cpu")
    before = {key: value for key, value in trainer.adamw.param_groups[0].items() if key != "params"}
    trainer.load_state_dict(trainer.state_dict())
    assert {key: value for key, value in trainer.adamw.param_groups[0].items() if key != "params"} == before


def test_a_checkpoint_names_the_trainer_its_package_and_its_settings(run, plan):
    checkpoint = load_checkpoint(run("regression", plan=with_methods(plan), epochs=1, iterations=1))
    assert checkpoint["trainer"] == "regression"
    assert checkpoint["trainer_package"] == "my-method 0.1"
    assert checkpoint["settings"] == to_plain(RegressionSettings())
    assert set(checkpoint["networks"]) == {"network"}
    assert set(checkpoint["optimisers"]) == {"adamw"}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"widht": 8}, "methods.regression.widht"),
        ({"width": None}, "methods.regression.width"),
        ({"width": "wide"}, "methods.regression.width"),
        ({"coding": {}}, "methods.regression.coding.hu_per_unit"),
        ({"coding": {"hu_per_unit": 1000.0, "window": 1}}, "methods.regression.coding.window"),
    ],
)
def test_a_setting_that_is_unknown_missing_or_of_a_wrong_type_is_named(run, plan, tmp_path, changes, key):
    with pytest.raises(PlanError, match=rf"plans\.json: configurations\.tiny.*'{key}'"):
        run("regression", plan=with_methods(plan, **changes))
    assert not (tmp_path / "fold_0").exists()


@pytest.mark.parametrize(("changes", "key"), [({"width": 4}, "width"), ({"coding": {"hu_per_unit": 500.0}}, "coding")])
def test_another_setting_is_another_training_and_is_named(run, plan, tmp_path, changes, key):
    run("regression", plan=with_methods(plan), epochs=1, iterations=1)
    with pytest.raises(TrainingError, match=rf"methods\.regression\.{key} ") as fault:
        run("regression", plan=with_methods(plan, **changes), resume=True)
    assert str(tmp_path / "fold_0") in str(fault.value)


def test_a_method_that_is_installed_after_planning_takes_its_defaults_and_states_them(plan):
    stated = with_settings_of("regression", plan, "tiny", None)
    assert stated.configurations["tiny"].methods["regression"] == to_plain(RegressionSettings())
    assert "regression" not in plan.configurations["tiny"].methods
    assert with_settings_of("regression", stated, "tiny", None) is stated
    assert Plan.from_plain(stated.to_plain(), "plans.json") == stated
