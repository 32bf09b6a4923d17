"""One writer a folder: locks between processes, which end with the process that holds them, however it ends.

A lock is the operating system's own (``flock``) on a hidden file beside the folder, ``.NAME.lock``, that names its
holders and is removed with the last of them; where the folder's parent cannot be written to, it is the file ``.lock``
in the folder. On a system or a file system without such locks the work goes on, with a warning.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from synthct.errors import SynthctError
from synthct.files import remove_leftovers

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

PATIENCE_S = 1.0  # for a holder who has just been killed
SECTION_PATIENCE_S = 120.0  # for a section of other processes, which takes moments
_RETRY_S = 0.05
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}

_log = logging.getLogger("synthct")
_held: set[int] = set()  # descriptors; a forked child, such as one that loads slices, must not keep a lock alive


class FolderInUseError(SynthctError):
    """Another process works in the folder."""


@contextmanager
def writing(folder: Path, who: str) -> Iterator[None]:
    """Hold a folder alone, to write into it or its subfolders; what killed processes left half-written there goes.

    Args:
        folder: existing or to be made.
        who: shown to those who come second, such as ``synthct_train``.

    Raises:
        FolderInUseError: another process holds it: which one, and since when.
        OSError: nothing can be written there; its file name is that of the folder.
    """
    check_writable(folder)
    with _locked(Path(folder), who, shared=False, patience_s=PATIENCE_S):
        remove_leftovers(folder, deep=True)
        try:
            yield
        finally:
            remove_leftovers(folder, deep=True)  # of workers that were killed meanwhile


def check_writable(folder: Path) -> None:
    """Raise OSError of a folder, existing or to be made, into which this process cannot write."""
    folder = Path(folder).absolute()
    existing = next(ancestor for ancestor in (folder, *folder.parents) if ancestor.exists())
    if not existing.is_dir():
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(existing))
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as fault:
        raise OSError(fault.errno, fault.strerror, str(folder if existing == folder else existing)) from None


@contextmanager
def reading(folder: Path, who: str) -> Iterator[None]:
    """Hold a folder together with other readers, so that no process writes into it; a read-only one needs no lock.

    Raises:
        FolderInUseError: another process writes into it.
    """
    with _locked(Path(folder), who, shared=True, patience_s=PATIENCE_S):
        yield


@contextmanager
def section(folder: Path, who: str = "synthct") -> Iterator[None]:
    """Hold for moments what several writers share, such as a model folder; waits for others."""
    with _locked(Path(folder), who, shared=False, patience_s=SECTION_PATIENCE_S):
        remove_leftovers(folder)
        yield


@contextmanager
def _locked(folder: Path, who: str, *, shared: bool, patience_s: float) -> Iterator[None]:
    made = [] if shared else _make_parents(folder)
    try:
        acquired = _acquire(folder, shared, patience_s)
        if acquired is None:
            yield
            return
        path, number = acquired
        _held.add(number)
        try:
            _sign(number, who, shared)
            yield
        finally:
            _held.discard(number)
            _release(path, number)
    finally:
        for parent in made:
            with suppress(OSError):  # something is in it now
                parent.rmdir()


def _make_parents(folder: Path) -> list[Path]:
    """The folders that were missing and are there now, the deepest first."""
    made = [parent for parent in folder.absolute().parents if not parent.exists()]
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    return made


def _acquire(folder: Path, shared: bool, patience_s: float) -> tuple[Path, int] | None:
    """The lock's file and descriptor; None where there can be no lock."""
    if fcntl is None:
        return None
    place = folder.resolve()
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    end = time.monotonic() + patience_s
    while True:
        opened = _open(place)
        if opened is None:
            return None
        path, number = opened
        try:
            fcntl.flock(number, mode)
            if _is_still_there(path, number):
                return path, number
            os.close(number)  # its last holder removed the file meanwhile
            continue
        except BlockingIOError:
            holder = _holder(number)
            os.close(number)
        except OSError as fault:
            os.close(number)
            if fault.errno not in _NO_LOCKS:
                raise
            _log.warning(
                f"The file system of {folder} has no locks; take care that no other command works there "
                "at the same time."
            )
            return None
        if time.monotonic() > end:
            raise FolderInUseError(f"{folder} is in use by {holder}; wait until it has ended.")
        time.sleep(_RETRY_S)


def _open(folder: Path) -> tuple[Path, int] | None:
    """The lock's file, opened; None where nothing can be written, so that there is no writer to fear or to be."""
    for path in (folder.with_name(f".{folder.name}.lock"), folder / ".lock"):
        try:
            return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as fault:
            if fault.errno not in _READ_ONLY:
                raise
    return None


def _is_still_there(path: Path, number: int) -> bool:
    try:
        there, here = os.stat(path), os.fstat(number)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _release(path: Path, number: int) -> None:
    """Remove the file, unless other readers still hold it, and let go."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a reader becomes the only one, or is not the last
        if _is_still_there(path, number):
            path.unlink()
    except OSError:
        pass
    finally:
        os.close(number)


def _sign(number: int, who: str, shared: bool) -> None:
    """Leave a line that says who holds the lock; a single writer's takes the place of all others."""
    holder = {
        "who": who,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    try:
        if not shared:
            os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_END)
        os.write(number, json.dumps(holder).encode() + b"\n")
    except OSError:  # a full disk keeps no lock from being held
        pass


def _holder(number: int) -> str:
    """Who holds the lock, as far as its file says: the last one who still lives."""
    lines = os.pread(number, 1 << 16, 0).decode(errors="replace").splitlines()
    for line in reversed(lines):
        try:
            holder: dict[str, Any] = json.loads(line)
            if holder["host"] == socket.gethostname() and not _is_alive(int(holder["process"])):
                continue
            return f"{holder['who']} (process {holder['process']} on {holder['host']} since {holder['since']})"
        except (ValueError, KeyError, TypeError):
            continue
    return "another process"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _let_go() -> None:
    for number in _held:
        os.close(number)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
