"""A model folder's files in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from synthct.errors import ModelError, PlanError
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan
from synthct.qa.qa_reference import Reference
from synthct.training.checkpoint import load_checkpoint

CHECKPOINT = "checkpoint_final.pth"
FINGERPRINT = "dataset_fingerprint.json"


@dataclass(frozen=True)
class Model:
    """What a prediction needs of a model folder.

    Attributes:
        networks: a table of state dicts a fold: ``syn_ct`` and, of a CycleGAN, ``syn_mr``.
        fingerprint, reference: what new MRs and sCTs are held against; None where the folder has no such file.
    """

    plan: Plan
    configuration_name: str
    networks: list[dict[str, dict[str, torch.Tensor]]]
    fingerprint: Fingerprint | None
    reference: Reference | None


def read_model(folder: Path, folds: Sequence[int | str] | None = None, checkpoint: str = CHECKPOINT) -> Model:
    """Read a model folder.

    Args:
        folder: of the model.
        folds: those to read, each once; every trained one by default.
        checkpoint: the checkpoint's file name in each fold.

    Raises:
        ModelError: something is missing or damaged, and where.
    """
    plan_path, fingerprint_path = folder / "plans.json", folder / FINGERPRINT
    if not plan_path.is_file():
        raise ModelError(f"{folder} is not a model folder: it has no plans.json; give the folder that holds fold_0.")
    try:
        plan = Plan.load(plan_path)
        fingerprint = Fingerprint.load(fingerprint_path) if fingerprint_path.is_file() else None
    except PlanError as fault:
        raise ModelError(str(fault)) from None
    names = trained_folds(folder, checkpoint) if folds is None else list(dict.fromkeys(map(str, folds)))
    if not names:
        raise ModelError(f"{folder} holds no {checkpoint} in any fold; train it, or choose another with -chk.")
    paths = [folder / f"fold_{name}" / checkpoint for name in names]
    loaded = [load_checkpoint(path, "cpu") for path in paths]
    for path, content in zip(paths, loaded):
        networks = content["networks"]
        if not isinstance(networks, dict) or not isinstance(networks.get("syn_ct"), dict):
            raise ModelError(f"{path} holds no network syn_ct; restore it or train again.")
        if content["configuration"] not in plan.configurations:
            raise ModelError(
                f"{plan_path} has no configuration '{content['configuration']}', with which {path} was trained; "
                "restore the plans.json that it was trained with."
            )
    networks = [content["networks"] for content in loaded]
    return Model(plan, loaded[0]["configuration"], networks, fingerprint, Reference.load(folder))


def trained_folds(folder: Path, checkpoint: str = CHECKPOINT) -> list[str]:
    """The folds of a model folder that hold that checkpoint, such as ``["0", "1", "all"]``."""
    return sorted(path.parent.name.removeprefix("fold_") for path in Path(folder).glob(f"fold_*/{checkpoint}"))
