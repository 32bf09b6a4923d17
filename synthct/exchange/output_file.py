"""The file that an export writes, atomically; none that is there is replaced without being asked to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthct import locks
from synthct.errors import ModelError
from synthct.files import remove_leftovers, written_whole


def check_output(path: Path, overwrite: bool) -> None:
    """Raise ModelError where the path is a folder, or a file that may not be replaced."""
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name a file.")
    if path.exists() and not overwrite:
        raise ModelError(f"{path} is there already; name another file, or add --overwrite.")


@contextmanager
def output_file(path: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary path, which takes the place of ``path`` where nothing fails; one process at a time.

    Raises:
        ModelError: as :func:`check_output`.
    """
    with locks.section(path, "synthct_export_model"):
        check_output(path, overwrite)
        remove_leftovers(path.parent, of=path.name)  # of a killed export
        with written_whole(path) as temporary:
            yield temporary
