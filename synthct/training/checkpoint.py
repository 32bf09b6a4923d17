"""Checkpoints: everything that a training needs to go on exactly, and a model folder to predict; plain torch files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import synthct
from synthct.errors import ModelError
from synthct.files import written_whole

FORMAT_VERSION = 1
KEYS = ("configuration", "plan", "training", "split", "epoch", "step", "networks")  # to predict
KEYS_TO_RESUME = ("optimisers", "pools", "epoch_so_far", "rng")


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, atomically.

    Args:
        content: tensors and plain values only (dicts, lists, strings, numbers), so that it loads with
            ``weights_only=True`` in any later torch.

    Raises:
        ModelError: where the file cannot be written; an earlier one of that name is as it was.
    """
    versions = {
        "format_version": FORMAT_VERSION,
        "synthct_version": synthct.__version__,
        "torch_version": str(torch.__version__),
    }
    try:
        with written_whole(path) as temporary:
            torch.save(versions | content, temporary)
    except RuntimeError as fault:  # all that torch says of a full disk is "unexpected pos 832 vs 726"
        raise ModelError(
            f"{path} cannot be written ({_first_line(fault)}), most likely for lack of space; free space on the "
            "disk and go on with --continue; what it held before is unharmed."
        ) from fault


def load_checkpoint(
    path: Path, map_location: torch.device | str = "cpu", *, remedy: str = "restore it or train again"
) -> dict[str, Any]:
    """Read a checkpoint without executing anything that it may hold.

    Args:
        path: of the file.
        map_location: where its tensors go.
        remedy: part of the message where the file is damaged.

    Raises:
        ModelError: in one sentence, where the file is missing, truncated, foreign or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"The checkpoint {path} is missing; train that fold, or choose another fold or checkpoint.")
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as fault:  # torch raises half a dozen kinds for damaged files
        raise ModelError(
            f"{path} is damaged or is not a checkpoint of synthct ({_why_refused(fault)}); {remedy}."
        ) from fault
    if not isinstance(content, dict) or not isinstance(content.get("format_version"), int):
        raise ModelError(f"{path} is not a checkpoint of synthct; {remedy}.")
    if content["format_version"] > FORMAT_VERSION:
        raise ModelError(
            f"{path} was written by synthct {content.get('synthct_version', 'of a later version')} in format "
            f"{content['format_version']}, but this synthct {synthct.__version__} reads up to {FORMAT_VERSION}; "
            "update synthct."
        )
    missing = [key for key in KEYS if key not in content]
    if missing:
        raise ModelError(f"{path} lacks {', '.join(missing)}; {remedy}.")
    return content


def _why_refused(fault: Exception) -> str:
    # What torch says of a refused pickle is how to load it all the same, which would execute it.
    if type(fault).__name__ == "UnpicklingError" or "weights_only" in str(fault):
        return "it does not read as tensors and plain values, and anything else is not loaded, as it could be harmful"
    return _first_line(fault)


def _first_line(fault: Exception) -> str:
    return str(fault).strip().splitlines()[0][:120] if str(fault).strip() else type(fault).__name__
