"""The same work over many cases: in this process, in a pool of processes, or on any ``concurrent.futures.Executor``."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, as_completed, wait
from pathlib import Path
from typing import Any, TypeVar

from synthct.errors import SynthctError

Result = TypeVar("Result")
Progress = Callable[..., Iterable[Any]]


def quiet(iterable: Iterable[Any], **_: Any) -> Iterable[Any]:
    """The progress display that shows nothing; ``tqdm`` has the same signature."""
    return iterable


def available_cores() -> int:
    """Cores that this process may use (fewer than the machine has, in a container or under a batch system)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int | None:
    """Bytes that new processes can take without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def run_cases(
    function: Callable[..., Result],
    arguments: Mapping[str, tuple[Any, ...]],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress = quiet,
    describe: str = "",
) -> dict[str, Result]:
    """Call ``function(*arguments[case])`` for every case.

    Args:
        function: a top-level function (it travels to other processes).
        arguments: a tuple a case.
        workers: processes; 1 works in this one.
        executor: used instead of a pool of our own, such as a cluster's; ``workers`` is then without meaning.
        progress: a display like ``tqdm``.
        describe: the display's title.

    Returns:
        The results by case, in the order of ``arguments``.

    Raises:
        SynthctError: the error of the first case that failed, as it is, or that its worker was lost; work not yet begun
            is given up.
        RuntimeError: any other failure, naming the case.
    """
    if not arguments:
        return {}
    if executor is None and workers <= 1:
        show = progress(arguments.items(), total=len(arguments), desc=describe, unit="case")
        return {case: _named(function, case, values) for case, values in show}
    # Spawned, not forked: torch and SimpleITK keep threads, and a fork of a process with threads can hang.
    pool = executor or ProcessPoolExecutor(
        min(workers, len(arguments)), multiprocessing.get_context("spawn"), _share_cores, (workers,)
    )
    results: dict[str, Result] = {}
    futures: dict[Future[Result], str] = {}
    try:
        for case, values in arguments.items():
            futures[pool.submit(_named, function, case, values)] = case
        for future in progress(as_completed(futures), total=len(futures), desc=describe, unit="case"):
            try:
                results[futures[future]] = future.result()
                del futures[future]  # a cluster computes again what is still held when its worker is lost
            except BrokenExecutor:
                unfinished = ", ".join(case for case in arguments if case not in results)
                raise SynthctError(
                    f"A worker process was ended from outside, most likely for lack of memory; use fewer workers "
                    f"(-np). Not finished: {unfinished}."
                ) from None
    except BaseException as fault:
        if executor is None:
            _stop(pool)
            raise
        lost = _loss(fault, futures, [case for case in arguments if case not in results])
        for future in futures:  # the executor is not ours to shut down, but this work is
            future.cancel()
        if lost is not None:
            raise lost from None
        raise
    if executor is None:
        pool.shutdown()
    return {case: results[case] for case in arguments}


def _named(function: Callable[..., Result], case: str, values: tuple[Any, ...]) -> Result:
    try:
        return function(*values)
    except SynthctError:
        raise
    except Exception as fault:
        raise RuntimeError(f"{case}: {type(fault).__name__}: {fault}") from fault


def _loss(fault: BaseException, futures: Mapping[Future[Any], str], unfinished: list[str]) -> SynthctError | None:
    """The error where a cluster, and not the work itself, failed; None for any other fault."""
    if isinstance(fault, CancelledError) or _is_of_dask(fault, "ClosedClientError"):
        return SynthctError(
            "The connection to the scheduler was lost, or the work was cancelled there; see the scheduler's log and "
            f"run the command again. Not finished: {', '.join(unfinished)}."
        )
    if not _is_of_dask(fault, "KilledWorker"):
        return None
    # Work that waited on a worker when it ended is given up with the work that ended it, which was there before.
    wait(futures, timeout=0.5)
    done = {future: case for future, case in futures.items() if future.done() and not future.cancelled()}
    first, *others = [case for future, case in done.items() if _is_of_dask(future.exception(), "KilledWorker")]
    beside = f" On the same workers: {', '.join(others)}." if others else ""
    return SynthctError(
        f"{first}: every worker that took up this case was ended from outside, most likely for lack of memory; "
        f"start workers with more memory or fewer threads.{beside}"
    )


def _is_of_dask(fault: BaseException | None, name: str) -> bool:
    """Whether it is that error of ``distributed``, which need not be installed."""
    return type(fault).__name__ == name and type(fault).__module__.partition(".")[0] == "distributed"


def _stop(pool: Executor) -> None:
    """Give up waiting work and end the workers at once, so that Ctrl-C returns promptly."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(timeout=2)
        process.kill()


def _share_cores(workers: int) -> None:
    """A worker's share of the cores, so that many workers do not each start a thread a core."""
    import signal

    import SimpleITK as sitk

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that half-written files are removed on the way out
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(max(1, available_cores() // workers))
