"""Files are written beside their place and moved into it, so that a half-written file is never taken for whole."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthct.errors import SynthctError

_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial\..+")  # what written_whole calls its temporary files


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on success move it into place, on failure remove it.

    The temporary name starts with a dot and keeps the ending, because image writers choose the format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.partial.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # else a power cut could leave the new name with an empty file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``folder``; on success it takes its place, on failure it is removed.

    What a killed process left of an earlier attempt at the same folder is removed first.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(f".*.partial.{glob.escape(folder.name)}"):
        if _PARTIAL.fullmatch(leftover.name):
            shutil.rmtree(leftover, ignore_errors=True)
    temporary, former = (folder.with_name(f".{uuid.uuid4().hex[:8]}.partial.{folder.name}") for _ in range(2))
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                with open(path, "rb+") as file:
                    os.fsync(file.fileno())
        if folder.exists():
            os.replace(folder, former)
        os.replace(temporary, folder)
    finally:
        if former.exists() and not folder.exists():
            os.replace(former, folder)
        for leftover in (temporary, former):
            shutil.rmtree(leftover, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder, in which no other process may be writing."""
    for path in Path(folder).iterdir() if Path(folder).is_dir() else ():
        if _PARTIAL.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text, whole or not at all; a file that holds it already is left alone."""
    path = Path(path)
    if path.is_file() and path.read_bytes() == text.encode("utf-8"):
        return
    with written_whole(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(value: Any, path: Path) -> None:
    """Write ``value`` as readable JSON, whole or not at all. Lists of numbers stay on one line."""
    write_text(_readable_json(value) + "\n", path)


def read_json(path: Path, error: type[SynthctError] = SynthctError) -> Any:
    """Read JSON; raise ``error`` with one sentence where the file is missing or is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise error(f"{path} is missing.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise error(f"{path} is not valid JSON ({fault}); mend or restore the file.") from None
    except OSError as fault:
        raise error(f"{path} cannot be read: {fault.strerror}.") from None


def _readable_json(value: Any, indent: str = "") -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{deeper}{json.dumps(str(key))}: {_readable_json(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        rows = [deeper + _readable_json(item, deeper) for item in value]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
