"""Files are written beside their place and moved into it, so that a half-written file is never taken for whole."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import io
import json
import math
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthct.errors import SynthctError

_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial\.(.+)")  # what written_whole calls its temporary files
_MAX_JSON_BYTES = 2**28  # the fingerprint of a patient takes about 2 kB
_DEEPEST_JSON = 50


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on success move it into place, on failure remove it.

    The temporary name starts with a dot and keeps the ending, because image writers choose the format by it.

    Raises:
        OSError: naming ``path``, such as that the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.partial.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # else a power cut could leave the new name with an empty file
        os.replace(temporary, path)
    except OSError as fault:
        if fault.filename in (None, str(temporary), temporary):  # none where a full disk refused a part of it
            fault.filename, fault.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def bytes_written_whole(path: Path) -> Iterator[io.BytesIO]:
    """As ``written_whole``, for libraries that say nothing of a full disk where they write themselves, as Pillow."""
    content = io.BytesIO()
    yield content
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getvalue())


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``folder``; on success it takes its place, on failure it is removed.

    What a killed process left of an earlier attempt at the same folder is removed first.

    Raises:
        OSError: naming ``folder`` or the file in it that could not be written.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, of=glob.escape(folder.name))
    temporary, former = (folder.with_name(f".{uuid.uuid4().hex[:8]}.partial.{folder.name}") for _ in range(2))
    temporary.mkdir()
    try:
        yield temporary
        for path in filter(Path.is_file, temporary.rglob("*")):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        if folder.exists():
            os.replace(folder, former)
        os.replace(temporary, folder)
    except OSError as fault:
        named = str(fault.filename or folder)
        fault.filename, fault.filename2 = named.replace(str(temporary), str(folder)), None
        raise
    finally:
        if former.exists() and not folder.exists():
            os.replace(former, folder)
        for leftover in (temporary, former):
            shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def temporary_folder_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary folder in the folder of ``path``, so that what is made in it can be moved there; it goes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.partial.{path.name}")
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, *, of: str = "*", deep: bool = False) -> None:
    """Remove what killed processes left half-written in a folder.

    Args:
        folder: may be missing; no other process may be writing into it what ``of`` names.
        of: pattern of the names of the files and folders that were being written.
        deep: in its subfolders too, not in theirs.
    """
    for path in _listed(folder):
        if (partial := _PARTIAL.fullmatch(path.name)) and fnmatch.fnmatchcase(partial[1], of):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        elif deep and path.is_dir() and not path.is_symlink():
            remove_leftovers(path)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(Path(folder).iterdir())
    except OSError:  # it is missing, or not for us to see
        return []


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text, atomically; a file that holds it already is left alone."""
    path = Path(path)
    if path.is_file() and path.read_bytes() == text.encode("utf-8"):
        return
    with written_whole(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(value: Any, path: Path) -> None:
    """Write ``value`` as readable JSON, atomically. Lists of numbers stay on one line."""
    write_text(_readable_json(value) + "\n", path)


def read_json(path: Path, error: type[SynthctError] = SynthctError, *, missing: str = "restore the file") -> Any:
    """Read JSON; raise ``error`` with one sentence where the file is missing (and how it is made) or is not JSON."""
    try:
        if Path(path).stat().st_size > _MAX_JSON_BYTES:
            raise error(f"{path} is larger than any such file gets; restore the file.")
        return parse_json(Path(path).read_bytes(), str(path), error)
    except FileNotFoundError:
        raise error(f"{path} is missing; {missing}.") from None
    except OSError as fault:
        raise error(f"{path} cannot be read ({fault.strerror}); fix or restore the file.") from None


def parse_json(data: bytes, where: str, error: type[SynthctError], remedy: str = "fix or restore the file") -> Any:
    """JSON in UTF-8, strictly: no key twice, no NaN, nothing nested deeper than 50 levels.

    Raises:
        error: ``where``, what is wrong, ``remedy``.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_table)
        _check_json(value)
        return value
    except RecursionError:
        raise error(f"{where} is not valid JSON (nested too deeply); {remedy}.") from None
    except ValueError as fault:  # of the syntax, the encoding, or a number of thousands of digits
        raise error(f"{where} is not valid JSON ({str(fault).splitlines()[0]}); {remedy}.") from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:60]!a} stands there twice")
    return table


def _check_json(value: Any, depth: int = 0) -> None:
    """Refuse what Python reads and cannot write again, or not work with: NaN, half characters, towers of lists.

    Raises:
        ValueError: saying which.
    """
    if depth > _DEEPEST_JSON:
        raise ValueError("nested too deeply")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number that is NaN or infinite")
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("it holds half of a surrogate pair")
    if isinstance(value, (dict, list)):
        for item in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            _check_json(item, depth + 1)


def _readable_json(value: Any, indent: str = "") -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{deeper}{json.dumps(str(key))}: {_readable_json(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        rows = [deeper + _readable_json(item, deeper) for item in value]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
