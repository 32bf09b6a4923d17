"""Stacks that a training makes for itself, in a folder of its own: made once, and found again when it is resumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthct.errors import TrainingError
from synthct.files import read_json, write_json
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, OUTSIDE, SliceStack

RECORD = "made_slices.json"


def made_once(folder: Path, key: str, make: Callable[[], list[str]]) -> list[str]:
    """Names of the stacks, without the ending; those that were made from the same things are taken as they are.

    Args:
        folder: for them alone.
        key: of all they are made from.
        make: writes them and returns their names; a record is there only once all of them are.
    """
    record = folder / RECORD
    if record.is_file() and read_json(record, TrainingError).get("key") == key:
        return names_of(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = make()
    write_json({"key": key, "names": names}, record)
    return names


def names_of(folder: Path) -> list[str]:
    """Of the stacks that were made there, without the ending."""
    return read_json(folder / RECORD, TrainingError)["names"]


def with_ct(stack: SliceStack, hu: np.ndarray, inside: np.ndarray) -> SliceStack:
    """A stack's MR with another CT, known in the MR's head where it shows a head, too; air around it is known.

    Args:
        stack: with an MR.
        hu: (slices, rows, cols), in the plane of the stack.
        inside: the CT's head, bool of the same shape.
    """
    head = stack.the_mr[0] != OUTSIDE
    regions = stack.regions & MR_KNOWN | np.where(head, HEAD, 0) | np.where(inside | ~head, CT_KNOWN, 0)
    ct = np.where(head & inside, np.rint(hu), OUTSIDE).astype(np.int16)
    return replace(stack, ct=ct, regions=regions.astype(np.uint8))
