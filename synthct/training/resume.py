"""Whether a checkpoint can be resumed: the same trainer, data and network."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from synthct.errors import ModelError, TrainingError
from synthct.json_dataclasses import from_plain, to_plain
from synthct.model_folder import FoldFolder
from synthct.planning.plan import Configuration, TrainingPlan
from synthct.planning.plan_text import with_inherited
from synthct.training.checkpoint import KEYS_TO_RESUME, load_checkpoint

PARTS = ("preprocessing", "input")  # of a configuration, that a training cannot change on the way

log = logging.getLogger("synthct")


def find_checkpoint(fold: FoldFolder) -> dict[str, Any] | None:
    """The checkpoint to go on with: the latest, else the final one, else None.

    Raises:
        ModelError: where it cannot be read, with what is left to go on from.
        TrainingError: where it was exported without the state of the training.
    """
    for path in (fold.latest, fold.final):
        if path.is_file():
            remedy = "restore it, or train without --continue to start over"
            if path == fold.latest and fold.final.is_file():
                remedy = f"restore it, or delete it to continue from {fold.final.name} beside it"
            checkpoint = load_checkpoint(path, remedy=remedy)
            if any(key not in checkpoint for key in KEYS_TO_RESUME):
                raise TrainingError(
                    f"{path} holds a model to predict with only, which cannot be trained on; "
                    "train without --continue to start over."
                )
            return checkpoint
    return None


def holds_model(path: Path, networks: dict[str, dict[str, Any]]) -> bool:
    """Whether a checkpoint can be read and has exactly the weights of ``networks`` (state dicts by name)."""
    try:
        saved = load_checkpoint(path)["networks"]
    except ModelError:
        return False
    return saved.keys() == networks.keys() and all(
        saved[name].keys() == state.keys() and all(torch.equal(saved[name][key], state[key].cpu()) for key in state)
        for name, state in networks.items()
    )


def check_resumable(
    checkpoint: dict[str, Any], content: dict[str, Any], configuration: Configuration, fold_folder: Path
) -> None:
    """Compare a checkpoint with what is to be trained.

    Args:
        checkpoint: from :func:`find_checkpoint`.
        content: the same keys, of the training that is asked for.
        configuration: of that training.
        fold_folder: for messages.

    Raises:
        TrainingError: naming what differs.
    """
    kept = f"the training in {fold_folder}"
    advice = "train without --continue to start over, or choose another fold or dataset"
    for key in ("trainer", "configuration"):
        if checkpoint.get(key) != content[key]:
            raise TrainingError(
                f"Cannot continue {kept}: its {key} is '{checkpoint.get(key)}', not '{content[key]}'; {advice}."
            )
    before = _what_was_trained(checkpoint)
    if before is None:
        raise TrainingError(f"Cannot continue {kept}: an earlier version of synthct began it; {advice}.")
    now = {**to_plain({part: getattr(configuration, part) for part in PARTS}), "settings": content["settings"]}
    for part, values in now.items():
        changed = sorted(key for key in {*before[part], *values} if before[part].get(key) != values.get(key))
        if changed:
            name = f"methods.{content['trainer']}" if part == "settings" else part
            raise TrainingError(f"Cannot continue {kept}: {name}.{changed[0]} of the plan has changed; {advice}.")
    for side in ("train", "val"):
        if sorted(checkpoint["split"][side]) != sorted(content["split"][side]):
            raise TrainingError(
                f"Cannot continue {kept}: its {side} patients are not those of the split now; {advice}."
            )
    if checkpoint.get("disjoint", False) != content["disjoint"]:
        word = "with" if checkpoint.get("disjoint", False) else "without"
        raise TrainingError(f"Cannot continue {kept}: it was started {word} --disjoint; {advice}.")
    if checkpoint.get("refined_pairs", False) != content.get("refined_pairs", False):
        word = "with" if checkpoint.get("refined_pairs", False) else "without"
        raise TrainingError(f"Cannot continue {kept}: it was started on pairs {word} --register refine; {advice}.")
    processes = checkpoint.get("world_size", 1)
    if processes != content["world_size"]:
        raise TrainingError(
            f"Cannot continue {kept}: {processes} process(es) trained it together, not {content['world_size']}; "
            f"start as many (torchrun --nproc_per_node={processes})."
        )
    for key, value in content["training"].items():
        if checkpoint["training"].get(key) != value:
            log.warning("Continuing with another %s: %s instead of %s.", key, value, checkpoint["training"].get(key))


def _what_was_trained(checkpoint: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The parts of the plan that must stay as they are; None of a checkpoint that states them in another way."""
    configurations = with_inherited(checkpoint["plan"], "checkpoint", ModelError).get("configurations", {})
    parts = configurations.get(checkpoint["configuration"], {})
    if "settings" not in checkpoint or any(part not in parts for part in PARTS):
        return None
    return {part: parts[part] for part in PARTS} | {"settings": checkpoint["settings"]}


def training_of(checkpoint: dict[str, Any], fold_folder: Path) -> TrainingPlan:
    """The training plan that the checkpoint was trained with."""
    return from_plain(TrainingPlan, checkpoint["training"], f"checkpoint in {fold_folder}", error=ModelError)


def plain_split(split: dict[str, Any]) -> dict[str, list[str]]:
    """Lists of patient ids under ``train`` and ``val``."""
    return {side: [str(patient) for patient in to_plain(split.get(side, []))] for side in ("train", "val")}
