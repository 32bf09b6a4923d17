"""Commands in processes of their own, which can be disturbed; and what they leave, for comparison."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from same_training import equal, rows

import synthct
from synthct.training.checkpoint import load_checkpoint

PATIENCE_S = 240
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "PYTHONPATH": str(Path(synthct.__file__).parents[1]),
}


class Running:
    """A command that runs: in a fresh Python, or forked from one that has loaded everything already."""

    def __init__(self, process: int, output: Path, status: Any) -> None:
        self.process, self._output, self._status = process, output, status
        self._ended: int | None = None

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """The exit status; minus the signal that ended it."""
        if self._ended is None:
            try:
                self._ended = self._status(seconds)
            except (queue.Empty, subprocess.TimeoutExpired):
                self.signal(signal.SIGKILL, group=True)
                raise AssertionError(f"the command goes on and on: {self.output}") from None
        return self._ended

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to it, or to its workers too."""
        try:
            (os.killpg if group else os.kill)(self.process, number)
        except ProcessLookupError:
            pass

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def others(self) -> list[int]:
        """Living processes of its group beside itself."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.process and state != "Z" and int(stat.parent.name) != self.process:
                found.append(int(stat.parent.name))
        return found

    def assert_no_process_is_left(self, seconds: float = 5.0) -> None:
        """That all of its processes end in this time."""
        end = time.monotonic() + seconds
        while left := self.others():
            assert time.monotonic() < end, f"processes {left} outlive their command"
            time.sleep(0.02)


class Commands:
    """Starts commands."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._count = 0
        self._idle: list[subprocess.Popen] = []
        self._all: list[subprocess.Popen] = []

    def start(
        self,
        command: str,
        *arguments: str,
        folder: Path,
        fresh: bool = False,
        largest_file: int | None = None,
        **environment: str,
    ) -> Running:
        """Start a command, the name of a module of ``synthct.commands``.

        Args:
            folder: the current one.
            fresh: in a fresh Python, which takes seconds to load the libraries.
            largest_file: bytes beyond which no file grows, as if the disk were full; not in a fresh Python.
            environment: further variables.
        """
        self._count += 1
        output = self._scratch / f"output_{self._count}.txt"
        if fresh:
            with open(output, "wb") as file:
                process = subprocess.Popen(
                    [sys.executable, "-m", f"synthct.commands.{command}", *arguments],
                    cwd=folder,
                    env=os.environ | ENVIRONMENT | environment,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            return Running(process.pid, output, lambda seconds: process.wait(seconds))
        server = self._idle.pop() if self._idle else self._new_server()
        request = {
            "command": command,
            "arguments": list(arguments),
            "folder": str(folder),
            "output": str(output),
            "environment": environment,
            "largest_file": largest_file,
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        number = int(server.stdout.readline())
        status: queue.Queue[int] = queue.Queue()

        def collect() -> None:
            status.put(int(server.stdout.readline()))
            self._idle.append(server)

        threading.Thread(target=collect, daemon=True).start()
        return Running(number, output, lambda seconds: status.get(timeout=seconds))

    def run(self, command: str, *arguments: str, folder: Path, **options: Any) -> str:
        """Run a command that must succeed; what it said."""
        running = self.start(command, *arguments, folder=folder, **options)
        assert running.wait() == 0, running.output
        return running.output

    def close(self) -> None:
        """End what there is to fork commands from."""
        for server in self._all:
            server.kill()
            server.wait()

    def _new_server(self) -> subprocess.Popen:
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._all.append(server)
        assert server.stdout.readline() == "ready\n"
        return server


# -- what a command leaves -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    """Everything in a checkpoint but the seconds that its epoch took."""

    content: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and equal(self.content, other.content)


def contents(folder: Path) -> dict[str, Any]:
    """What is in a folder by path, such that equal contents are equal: all that may differ from run to run is here.

    These are times and dates: in a checkpoint, in the training log, in archives' headers and in the report's last line.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = _content(path)
    return found


def _content(path: Path) -> Any:
    if ".partial." in path.name:
        return path.read_bytes()
    if path.suffix == ".pth":
        content = load_checkpoint(path)
        content.get("epoch_so_far", {}).pop("seconds", None)  # an installed one has no state of a training
        return Checkpoint(content)
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays}
    if path.name == "training_log.csv":
        return rows(path.parent)
    if path.suffix == ".html":
        return re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", "DATE", path.read_text(encoding="utf-8"))
    return path.read_bytes()


def assert_same(folder: Path, whole: Path) -> None:
    """That a folder holds what another one does, and nothing half-written."""
    here, there = contents(folder), contents(whole)
    assert here.keys() == there.keys()
    assert not [name for name in here if here[name] != there[name]]
