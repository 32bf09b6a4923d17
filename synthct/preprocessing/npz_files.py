"""Opening npz files, of which several threads may read at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# NumPy reads an array's header with Python's parser, whose count of its recursion CPython 3.11 keeps for all threads
# together: in two at once it raises SystemError.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def opened_npz(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """The arrays of a file by their names, without pickle; other threads that open one wait."""
    with _ONE_AT_A_TIME, np.load(path, allow_pickle=False) as arrays:
        yield arrays
