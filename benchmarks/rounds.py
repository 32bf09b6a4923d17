"""Interleaved rounds of two ways to do the same work, and the table that they make."""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Measured:
    """A line of the table: median seconds of both, and how far the product's result is from the reference."""

    work: str
    textbook_s: float
    product_s: float
    error: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster the product is."""
        return self.textbook_s / self.product_s


def compare(
    work: str, textbook: Callable[[], object], product: Callable[[], object], *, rounds: int = 7, error: str = ""
) -> Measured:
    """Run both once to warm up, then in turn ``rounds`` times; a machine's noise falls on both."""
    times: dict[str, list[float]] = {"textbook": [], "product": []}
    for round_number in range(rounds + 1):
        for name, action in (("textbook", textbook), ("product", product)):
            synchronise()
            started = time.perf_counter()
            action()
            synchronise()
            if round_number:
                times[name].append(time.perf_counter() - started)
    return Measured(work, statistics.median(times["textbook"]), statistics.median(times["product"]), error)


def synchronise() -> None:
    """Wait for a GPU, whose work is only queued otherwise."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory_gib() -> float:
    """The most memory that this process (on a GPU: its tensors) has taken so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    try:  # getrusage would count what the process that started this one had taken
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**20
    except (OSError, StopIteration):
        pass
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def show(lines: list[Measured]) -> None:
    """Print the machine and the table, in Markdown."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{_processor()}, {torch.get_num_threads()} threads"
    )
    print(f"torch {torch.__version__}, {device}; peak memory {peak_memory_gib():.2f} GiB\n")
    print("| work | textbook | product | ratio | error |\n|---|---|---|---|---|")
    for line in lines:
        print(f"| {line.work} | {_text(line.textbook_s)} | {_text(line.product_s)} | {line.ratio:.2f} | {line.error} |")


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
