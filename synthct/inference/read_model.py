"""A model folder's files in memory: what a prediction needs, whatever method made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from synthct.accelerate.convolutions import with_fast_convolutions
from synthct.errors import ModelError, PlanError, TrainingError
from synthct.imaging.coding import HU_LIMITS
from synthct.model_folder import CHECKPOINT_FINAL, ModelFolder
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import settings_of
from synthct.planning.plan import Configuration, InputPlan, Plan, PreprocessingPlan
from synthct.plugins import TRAINERS
from synthct.preprocessing.network_input import NetworkInput
from synthct.qa.qa_reference import Reference
from synthct.training.checkpoint import load_checkpoint
from synthct.training.trainer import Trainer

States = dict[str, dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        plan: of the dataset that it was trained on.
        configuration_name: the plan's configuration that it was trained with.
        trainer: the method's name.
        networks: a table of state dicts a fold, by the networks' names; those that a prediction needs.
        fingerprint, reference: what new MRs and sCTs are compared with; None where the folder has no such file.
        plan_path: the plan's file, for messages.
    """

    plan: Plan
    configuration_name: str
    trainer: str
    networks: list[States]
    fingerprint: Fingerprint | None = None
    reference: Reference | None = None
    plan_path: str = "plans.json"

    @property
    def method(self) -> type[Trainer]:
        """The method's class.

        Raises:
            TrainingError: it is not installed.
        """
        return TRAINERS.load(self.trainer)

    @property
    def configuration(self) -> Configuration:
        """The plan's configuration."""
        return self.plan.configuration(self.configuration_name)

    @cached_property
    def settings(self) -> Any:
        """The method's settings.

        Raises:
            ModelError: naming the key of the plan that is wrong.
        """
        where = f"{self.plan_path}: configurations.{self.configuration_name}"
        return settings_of(self.trainer, self.configuration, where, ModelError)

    @property
    def input(self) -> NetworkInput:
        """What its networks see of an MR."""
        return NetworkInput(self.configuration.input, self.method.coding(self.settings))

    @property
    def hu_range(self) -> tuple[float, float]:
        """The lowest and the highest HU that an sCT can show, as far as int16 has room for them."""
        low, high = self.input.coding.hu_range
        return max(low, HU_LIMITS[0]), min(high, HU_LIMITS[1])

    def build_networks(self, states: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, nn.Module]:
        """The networks of a fold that a prediction needs, with its weights, on the CPU.

        Raises:
            ModelError: the weights are not those of the networks of the plan.
        """
        networks = predicting_networks(self.method, self.configuration, self.settings)
        for name, network in networks.items():
            try:
                network.load_state_dict(states[name])
            except (RuntimeError, KeyError) as fault:
                reason = f"there is no {name}" if isinstance(fault, KeyError) else str(fault).splitlines()[-1].strip()
                raise ModelError(
                    f"The checkpoint does not fit the network in plans.json ({reason}); "
                    "restore the plans.json that it was trained with."
                ) from None
            networks[name] = with_fast_convolutions(network).eval()
        return networks


def predicting_networks(method: type[Trainer], configuration: Configuration, settings: Any) -> dict[str, nn.Module]:
    """The networks of a method that a prediction needs, by name; their weights are arbitrary."""
    networks = method.build_networks(configuration, settings)
    return {name: networks[name] for name in method.to_predict}


def read_model(folder: Path, folds: Sequence[int | str] | None = None, checkpoint: str = CHECKPOINT_FINAL) -> Model:
    """Read a model folder.

    Args:
        folder: of the model.
        folds: those to read, each once; every trained one by default.
        checkpoint: the checkpoint's file name in each fold.

    Raises:
        ModelError: something is missing or damaged, and where; or the method is not installed.
    """
    files = ModelFolder(Path(folder))
    if not files.plans.is_file():
        raise ModelError(f"{folder} is not a model folder: it has no plans.json; give the folder that holds fold_0.")
    try:
        plan = Plan.load(files.plans)
        fingerprint = Fingerprint.load(files.fingerprint) if files.fingerprint.is_file() else None
    except PlanError as fault:
        raise ModelError(str(fault)) from None
    names = files.trained_folds(checkpoint) if folds is None else list(dict.fromkeys(map(str, folds)))
    if not names:
        raise ModelError(f"{folder} holds no {checkpoint} in any fold; train it, or choose another with -chk.")
    paths = [files.fold(name).checkpoint(checkpoint) for name in names]
    read = [read_checkpoint(path, plan, files.plans) for path in paths]
    first = read[0]
    for path, model in zip(paths, read):
        if (model.trainer, model.configuration_name) != (first.trainer, first.configuration_name):
            raise ModelError(f"{path} is of another trainer or configuration than {paths[0]}; give one model's folds.")
    networks = [states for model in read for states in model.networks]
    return replace(first, networks=networks, fingerprint=fingerprint, reference=Reference.load(folder))


def read_other_planes(
    folder: Path, folds: Sequence[int | str] | None = None, checkpoint: str = CHECKPOINT_FINAL
) -> list[Model]:
    """The models beside a model folder that differ from it in the plane of their slices alone, by their names.

    Of another model those folds are read that the first one has, so that no held-out patient has been seen.

    Args:
        folder, folds, checkpoint: as of :func:`read_model`.

    Raises:
        ModelError: a file of one of the models is damaged, and which.
    """
    first = ModelFolder(Path(folder))
    names = first.trained_folds(checkpoint) if folds is None else list(dict.fromkeys(map(str, folds)))
    this = _Slices.of(first)
    planes = []
    for other in first.beside():
        there = [name for name in names if name in other.trained_folds(checkpoint)]
        if this is not None and there and this.differs_in_plane_alone(_Slices.of(other)):
            planes.append(read_model(other.path, there, checkpoint))
    return planes


@dataclass(frozen=True)
class _Slices:
    """What slices a model folder's networks are shown."""

    preprocessing: PreprocessingPlan
    input: InputPlan

    @staticmethod
    def of(folder: ModelFolder) -> _Slices | None:
        """None where the folder's plan does not say it."""
        parts = folder.parts_of(folder.path.name)
        try:
            configuration = Plan.load(folder.plans).configuration(parts[1] if parts else "")
        except PlanError:
            return None
        return _Slices(configuration.preprocessing, configuration.input)

    def differs_in_plane_alone(self, other: _Slices | None) -> bool:
        if other is None or other.input.plane == self.input.plane:
            return False
        return other == replace(self, input=replace(self.input, plane=other.input.plane))


def read_checkpoint(path: Path, plan: Plan, plan_path: Path) -> Model:
    """The model of one fold, from its checkpoint and the plan beside it.

    Raises:
        ModelError: the checkpoint is missing, damaged, or does not fit the plan; or the method is not installed.
    """
    content = load_checkpoint(path, "cpu")
    networks = content["networks"] if isinstance(content["networks"], dict) else {}
    name = content["configuration"]
    if not isinstance(name, str) or name not in plan.configurations:
        raise ModelError(
            f"{plan_path} has no configuration '{name}', with which {path} was trained; "
            "restore the plans.json that it was trained with."
        )
    # Checkpoints without a trainer's name are of the two methods that there were then.
    trainer = str(content.get("trainer") or ("cyclegan" if "syn_mr" in networks else "pix2pix"))
    to_predict = installed_method(trainer, str(content.get("trainer_package", "")), path).to_predict
    if missing := [network for network in to_predict if not isinstance(networks.get(network), dict)]:
        raise ModelError(f"{path} holds no network {missing[0]}; restore it or train again.")
    return Model(
        plan, name, trainer, [{network: networks[network] for network in to_predict}], plan_path=str(plan_path)
    )


def installed_method(trainer: str, package: str, where: Path | str) -> type[Trainer]:
    """The class of a trainer with which a model was trained.

    Args:
        trainer: its name.
        package: that had it, such as ``my-method 0.1``; empty where it is not known.
        where: the model's file, for messages.

    Raises:
        ModelError: it is not installed, naming the package; or it cannot be imported.
    """
    if trainer not in TRAINERS.names():
        of = f" of the package {package}" if package else ""
        remedy = "install that package, if you trust whoever made it" if package else "install the package that has it"
        raise ModelError(
            f"{where} was trained with the trainer '{trainer}'{of}, which is not installed here; {remedy}."
        )
    try:
        return TRAINERS.load(trainer)
    except TrainingError as fault:
        raise ModelError(f"{where} needs the trainer '{trainer}'. {fault}") from fault
