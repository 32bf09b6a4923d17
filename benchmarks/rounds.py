"""Interleaved rounds of two ways to do the same work, and the table that they make."""

from __future__ import annotations

import gc
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

Action = Callable[[], object]
WAYS = ("textbook", "product")


@dataclass(frozen=True)
class Measured:
    """A line of the table: medians of both ways, and how exact the product is.

    Attributes:
        flops: of the work as the textbook does it, without which there is no share of the ceiling; multiply and add
            count as two.
        ceiling: convolutions of the device, flops a second, measured in the same rounds.
        memory_gib: the most that a process that does nothing else took, textbook and product.
        error: of textbook and product, against what the words say.
    """

    work: str
    textbook_s: float
    product_s: float
    flops: float = 0.0
    ceiling: float = 0.0
    memory_gib: tuple[float, float] = (0.0, 0.0)
    error: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster the product is."""
        return self.textbook_s / self.product_s

    def share(self, seconds: float) -> str:
        """The work's flops over the ceiling's in that time; above 100 % where a way needs fewer."""
        return f"{self.flops / seconds / self.ceiling:.0%}" if self.flops and self.ceiling else ""


def compare(
    work: str,
    textbook: Action,
    product: Action,
    *,
    rounds: int = 7,
    memory_gib: tuple[float, float] = (0.0, 0.0),
    error: str = "",
    count_flops: bool = False,
) -> Measured:
    """Run both once to warm up, then in turn ``rounds`` times; a machine's noise falls on both.

    Between them a large convolution is timed, so that the ceiling is of the same minutes. ``memory_gib`` comes from
    :func:`memory_of_both`: here both ways share a process, and the second finds what the first has taken.
    """
    flops = 0.0
    with FlopCounterMode(display=False) if count_flops else nullcontext() as counter:
        textbook()
    if count_flops:
        flops = float(counter.get_total_flops())
    product()
    ceiling = _Ceiling()
    times: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        for place, action in enumerate((textbook, product, ceiling.convolve)):
            synchronise()
            started = time.perf_counter()
            action()
            synchronise()
            times[place].append(time.perf_counter() - started)
    textbook_s, product_s, convolution_s = map(statistics.median, times)
    return Measured(work, textbook_s, product_s, flops, ceiling.flops / convolution_s, memory_gib, error)


class _Ceiling:
    """The generator's commonest convolution on a batch that fills the device; float32, on a GPU bfloat16."""

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        batch = 32 if self.device.type == "cuda" else 4
        self.image = torch.rand(batch, 256, 66, 66, device=self.device, dtype=dtype)
        self.weight = torch.rand(256, 256, 3, 3, device=self.device, dtype=dtype)
        self.flops = 2.0 * batch * 64 * 64 * 256 * 256 * 9
        self.convolve()

    def convolve(self) -> None:
        with torch.inference_mode():
            functional.conv2d(self.image, self.weight)


def synchronise() -> None:
    """Wait for a GPU, whose work is only queued otherwise."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def memory_of_both(prepare: Callable[..., Action], *options: object) -> tuple[float, float]:
    """The most memory that each way takes, in a fresh process each; GiB, textbook and product.

    Args:
        prepare: a top-level function of a way's name, one of :data:`WAYS`, and the options; what it returns is run
            twice, so that what stays between two runs, such as an optimiser's moments, counts.
        options: what travels to another process.
    """
    found = []
    for way in WAYS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh_process:
            found.append(fresh_process.submit(_memory_of, prepare, way, options).result())
    return found[0], found[1]


def _memory_of(prepare: Callable[..., Action], way: str, options: tuple[object, ...]) -> float:
    action = prepare(way, *options)

    def twice() -> None:
        action()
        action()

    return peak_memory_gib(twice)


def peak_memory_gib(action: Action) -> float:
    """The most memory that this process (on a GPU: its tensors) holds while the action runs once."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        action()
        return torch.cuda.max_memory_allocated() / 2**30
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():  # not Linux
        action()
        return float("nan")
    reset.write_text("5")  # the high-water mark starts anew
    action()
    return peak_memory_so_far_gib()


def peak_memory_so_far_gib() -> float:
    """The most memory that this process has held since it began, or since :func:`peak_memory_gib` last looked."""
    try:  # getrusage would count what the process that started this one had taken
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**20
    except (OSError, StopIteration):
        return float("nan")


def show(lines: list[Measured]) -> None:
    """Print the machine and the table, in Markdown."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{_processor()}, {torch.get_num_threads()} threads"
    )
    ceilings = [line.ceiling for line in lines if line.ceiling]
    ceiling = f", convolutions reach {statistics.median(ceilings) / 1e9:.0f} GFLOP/s" if ceilings else ""
    print(f"torch {torch.__version__}, {device}{ceiling}\n")
    print("| work | textbook | product | ratio | share of the ceiling | peak memory | error |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        shares = " -> ".join(filter(None, (line.share(line.textbook_s), line.share(line.product_s))))
        memory = " -> ".join(f"{gib:.2f}" for gib in line.memory_gib) + " GiB" if any(line.memory_gib) else ""
        times = f"{_text(line.textbook_s)} | {_text(line.product_s)} | {line.ratio:.2f}"
        print(f"| {line.work} | {times} | {shares} | {memory} | {line.error} |")


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
