"""Which dataset a command is to make: the number and the name that its options give."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthct import locks
from synthct.errors import DatasetError
from synthct.files import remove_leftovers
from synthct.paths import root_folder


@contextmanager
def new_dataset(arguments: argparse.Namespace) -> Iterator[Path]:
    """The raw dataset folder that ``-d`` and ``--name`` name; inside, no other command makes one of that number.

    Raises:
        DatasetError: the number or the name is not one of a dataset.
        FolderInUseError: another command makes one.
    """
    number, name = new_dataset_name(arguments)
    raw, prefix = root_folder("synthct_raw"), f"Dataset{number:03d}"
    with locks.writing(raw / prefix, arguments.command):
        remove_leftovers(raw, of=f"{prefix}_*")
        yield raw / f"{prefix}_{name}"


def new_dataset_name(arguments: argparse.Namespace) -> tuple[int, str]:
    """Number and name of a dataset to be made: of ``-d 4 --name Brain`` or of ``-d Dataset004_Brain``.

    Raises:
        DatasetError: one is missing, not one of a dataset, or ``-d`` and ``--name`` name different ones.
    """
    full = re.fullmatch(r"Dataset(\d{3})_(.+)", arguments.dataset)
    if not full and not (arguments.dataset.isascii() and arguments.dataset.isdigit()):
        raise DatasetError(f"-d takes a number or a name such as Dataset004_Brain, not '{arguments.dataset}'.")
    number, name = int(full[1] if full else arguments.dataset), arguments.name
    if name is None and full:
        name = full[2]
    if not 1 <= number <= 999:
        raise DatasetError(f"Dataset numbers go from 1 to 999, not {number}.")
    if name is None:
        raise DatasetError(f"Give a name too: -d Dataset{number:03d}_NAME, or -d {number} --name NAME.")
    if full and name != full[2]:
        raise DatasetError(f"-d {arguments.dataset} and --name {name} are different names; leave --name out.")
    if not re.fullmatch("[A-Za-z0-9_-]+", name):
        raise DatasetError(f"--name takes letters, digits, '_' and '-', at least one of them, not '{name}'.")
    return number, name
