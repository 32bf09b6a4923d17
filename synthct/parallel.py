"""The same work over many cases: in this process, in a pool of processes, or on any ``concurrent.futures.Executor``."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from concurrent.futures import CancelledError, Executor, Future, as_completed, wait
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from synthct.case_outcome import Outcome, call_named, outcome_of
from synthct.errors import DatasetError, DiskError, SynthctError
from synthct.worker_processes import in_pools

Result = TypeVar("Result")
Value = TypeVar("Value")
Progress = Callable[..., Iterable[Any]]
Outcomes = Generator[Outcome, None, None]


def quiet(iterable: Iterable[Any], **_: Any) -> Iterable[Any]:
    """The progress display that shows nothing; ``tqdm`` has the same signature."""
    return iterable


def available_cores() -> int:
    """Cores that this process may use (fewer than the machine has, in a container or under a batch system)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int | None:
    """Bytes that new processes can take without swapping; None where the system does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


@dataclass(frozen=True)
class CaseRunner:
    """How the cases of a dataset are worked through: where, with which display, and what becomes of a bad case.

    Attributes:
        workers: processes; 1 works in this one.
        executor: used instead of a pool of our own, such as a cluster's; ``workers`` is then without meaning, and paths
            must be absolute.
        progress: a display like ``tqdm``.
        bad: takes the sentence of each bad case, and the others go on; None: the first bad case raises its error.
    """

    workers: int = 1
    executor: Executor | None = None
    progress: Progress = quiet
    bad: dict[str, str] | None = None

    def run(
        self,
        function: Callable[..., Result],
        arguments: Mapping[str, tuple[Any, ...]],
        *,
        describe: str = "",
        unit: str = "case",
    ) -> dict[str, Result]:
        """Call ``function(*arguments[case])`` for every case.

        A worker process of ours that is killed, most likely for lack of memory, does not stop the others:
        what it and its neighbours worked on is done again at the end, a case at a time in one process. A case that ends
        its worker then, too, is bad; where bad cases raise, it does so when all others are done.

        Args:
            function: a top-level function (it travels to other processes).
            arguments: a tuple a case.
            describe: the display's title.
            unit: what the display counts.

        Returns:
            The results by case, in the order of ``arguments``; without the bad ones.

        Raises:
            SynthctError: the error of the first case that failed, as it is, and work not yet begun is given up; or,
                after all other cases, that some ended their workers.
            RuntimeError: any other failure, naming the case.
        """
        if not arguments:
            return {}
        results: dict[str, Result] = {}
        lost: list[str] = []
        with closing(self._outcomes(function, arguments)) as outcomes:  # ends the workers, whatever ended the loop
            for outcome in self.progress(outcomes, total=len(arguments), desc=describe, unit=unit):
                if outcome.lost:
                    lost.append(outcome.case)
                elif _is_of_case(outcome.fault):
                    self.reject(outcome.case, outcome.fault)
                elif outcome.fault is not None:
                    raise outcome.fault
                else:
                    results[outcome.case] = outcome.result
        if lost and not self.skips_bad:
            raise SynthctError(
                f"{', '.join(lost)}: the worker process was killed both times that it took up this case, "
                "the second time alone, most likely for lack of memory; end other programs or use a machine with more "
                f"memory, and run the command again. The other {len(results)} cases went well."
            )
        for case in lost:
            sentence = "its worker process was killed twice, most likely for lack of memory."
            self.reject(case, SynthctError(sentence))
        return {case: results[case] for case in arguments if case in results}

    def _outcomes(self, function: Callable[..., Any], arguments: Mapping[str, tuple[Any, ...]]) -> Outcomes:
        if self.executor is not None:
            return _on_executor(self.executor, function, arguments)
        if self.workers > 1:
            return in_pools(function, arguments, self.workers, available_cores())
        return (outcome_of(case, partial(call_named, function, case, arguments[case])) for case in arguments)

    @property
    def skips_bad(self) -> bool:
        """Whether bad cases are left out; otherwise the first one raises."""
        return self.bad is not None

    @property
    def left_out(self) -> Mapping[str, str]:
        """The cases found bad so far, and why; empty where bad cases raise."""
        return self.bad or {}

    def good(self, cases: Mapping[str, Value]) -> dict[str, Value]:
        """The cases without those found bad so far."""
        return {case: value for case, value in cases.items() if case not in self.left_out}

    def reject(self, case: str, fault: SynthctError) -> None:
        """Record that a case is bad, beside what was recorded of it before.

        Raises:
            SynthctError: the fault, where bad cases raise.
        """
        if self.bad is None:
            raise fault
        self.bad[case] = f"{self.bad[case]} {fault}" if case in self.bad else str(fault)

    def check_any_left(self, cases: Collection[Any]) -> None:
        """Check that not all cases turned out to be bad.

        Args:
            cases: those to go on with.

        Raises:
            DatasetError: there are none, since they were left out.
        """
        if self.left_out and not cases:
            raise DatasetError("\n  - ".join(["No patient is left:", *left_out_sentences(self.left_out)]))

    def in_this_process(self) -> CaseRunner:
        """The same, but the work is done in this process."""
        return replace(self, workers=1, executor=None)

    def with_workers(self, workers: int) -> CaseRunner:
        """The same with another number of processes."""
        return replace(self, workers=workers)

    def strict(self) -> CaseRunner:
        """The same, but the first bad case raises; for work whose cases are not patients."""
        return replace(self, bad=None)


IN_THIS_PROCESS = CaseRunner()


def left_out_sentences(left_out: Mapping[str, str]) -> list[str]:
    """What is said of the cases that were left out, a line each.

    Args:
        left_out: why, by case.
    """
    return [f"{case} is left out: {sentence}" for case, sentence in left_out.items()]


def _is_of_case(fault: BaseException | None) -> bool:
    """Whether the case is at fault, and not a disk that is full for all."""
    return isinstance(fault, SynthctError) and not isinstance(fault, DiskError)


def _on_executor(
    executor: Executor, function: Callable[..., Any], arguments: Mapping[str, tuple[Any, ...]]
) -> Outcomes:
    """The outcomes from an executor, which looks itself after workers that it loses."""
    futures: dict[Future[Any], str] = {}
    try:
        for case, values in arguments.items():
            futures[executor.submit(call_named, function, case, values)] = case
        for future in as_completed(futures):
            outcome = outcome_of(futures[future], future.result)
            if outcome.lost or _is_loss(outcome.fault):
                future.result()
            del futures[future], future  # a cluster computes again what is still held when its worker is lost
            yield outcome
    except BaseException as fault:
        lost = _loss(fault, futures) if _is_loss(fault) else None
        for future in futures:  # the executor is not ours to shut down, but this work is
            future.cancel()
        if lost is None:
            raise
        raise lost from None


def _is_loss(fault: BaseException | None) -> bool:
    """Whether a cluster, and not the work itself, failed."""
    return isinstance(fault, CancelledError) or any(
        _is_of_dask(fault, name) for name in ("ClosedClientError", "KilledWorker")
    )


def _loss(fault: BaseException, futures: Mapping[Future[Any], str]) -> SynthctError:
    """The error that reports it."""
    if not _is_of_dask(fault, "KilledWorker"):
        return SynthctError(
            "The connection to the scheduler was lost, or the work was cancelled there; see the scheduler's log and "
            f"run the command again. Not finished: {', '.join(futures.values())}."
        )
    # Work that waited on a worker when it ended is given up with the work that ended it: dask cannot tell them apart.
    wait(futures, timeout=0.5)
    done = {future: case for future, case in futures.items() if future.done() and not future.cancelled()}
    lost = [case for future, case in done.items() if _is_of_dask(future.exception(), "KilledWorker")]
    return SynthctError(
        f"{', '.join(lost)}: every worker that took up {'this case' if len(lost) == 1 else 'these cases together'} was "
        "killed, most likely for lack of memory; start workers with more memory or fewer threads."
    )


def _is_of_dask(fault: BaseException | None, name: str) -> bool:
    """Whether it is that error of ``distributed``, which need not be installed."""
    return type(fault).__name__ == name and type(fault).__module__.partition(".")[0] == "distributed"
