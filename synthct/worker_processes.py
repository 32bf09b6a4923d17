"""Worker processes of our own: started, ended with their parent, and replaced where one is killed."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import Any

from synthct.case_outcome import Outcome, call_named, outcome_of
from synthct.errors import SynthctError

log = logging.getLogger("synthct")

MAX_POOLS_WITHOUT_A_RESULT = 3  # that lost a worker: then it is not a case that ends them
UNGUARDED = 79  # exit status of a worker that, while it starts, comes to where workers are started
_TO_END = (signal.SIGINT, signal.SIGTERM)
STOP_SECONDS = 2.0  # for workers to remove what they have half written, before they are killed


def in_pools(
    function: Callable[..., Any], arguments: Mapping[str, tuple[Any, ...]], workers: int, cores: int
) -> Generator[Outcome, None, None]:
    """Outcomes of ``function(*arguments[case])`` from pools of processes, as they come.

    When a worker is killed, its pool is lost, and another one, of fewer workers, goes on. The cases that
    were in work then are done again at the end, one at a time; the one that ends its worker again is ``lost``.

    Args:
        function: a top-level function.
        arguments: a tuple a case.
        workers: processes.
        cores: that they share.

    Raises:
        SynthctError: workers are lost again and again before a single case is done, or cannot be started.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # This is a worker that is being started: Python runs the script of its parent in it first, and that has no
        # guard. No more can be started from here, and the parent says why.
        sys.exit(UNGUARDED)
    waiting, suspects = deque(arguments), deque[str]()
    alone, done, pools = False, 0, 0
    while waiting or suspects:
        if pools >= MAX_POOLS_WITHOUT_A_RESULT and not done:
            raise SynthctError(
                "Worker processes were killed again and again before a case was done, most likely for "
                "lack of memory; use fewer workers (-np), or end other programs. Not finished: "
                f"{', '.join([*waiting, *suspects])}."
            )
        if not waiting:
            waiting, suspects, alone, workers = suspects, deque(), True, 1
        before = len(suspects)
        for outcome in _in_a_pool(function, arguments, waiting, workers, cores):
            done += not outcome.lost
            if outcome.lost and not alone:
                suspects.append(outcome.case)
            else:
                yield outcome
        if again := list(suspects)[before:]:
            log.warning(
                "A worker process was killed, most likely for lack of memory; done again at the end, one "
                f"at a time: {', '.join(again)}."
            )
        pools, workers = pools + 1, max(1, workers // 2)


def _in_a_pool(
    function: Callable[..., Any],
    arguments: Mapping[str, tuple[Any, ...]],
    waiting: deque[str],
    workers: int,
    cores: int,
) -> Iterator[Outcome]:
    """Outcomes of the cases in ``waiting``, which are taken out of it; ends early when a worker was lost."""
    # Spawned, not forked: torch and SimpleITK keep threads, and a fork of a process with threads can hang.
    spawn = multiprocessing.get_context("spawn")
    begun = spawn.Event()
    pool = ProcessPoolExecutor(min(workers, len(waiting)), spawn, _begin_worker, (max(1, cores // workers), begun))
    in_work: dict[Future[Any], str] = {}  # no more than there are workers: these alone can have ended one
    broken = False
    try:
        while in_work or (waiting and not broken):
            while waiting and not broken and len(in_work) < workers:
                try:
                    with _signals_held_back():
                        in_work[pool.submit(_work, function, waiting[0], arguments[waiting[0]])] = waiting[0]
                except BrokenExecutor:
                    broken = True
                else:
                    waiting.popleft()
            processes = list((pool._processes or {}).values())
            for future in wait(in_work, return_when=FIRST_COMPLETED).done:
                outcome = outcome_of(in_work.pop(future), future.result)
                broken = broken or outcome.lost
                if outcome.lost and not begun.is_set():
                    _check_start(processes)
                yield outcome
    except BaseException:
        _stop(pool)
        raise
    if broken:
        _stop(pool)
    else:
        pool.shutdown()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A process that is started inside is started wholly, and does not see Ctrl-C until it says what it does then.

    A request to end this process, by Ctrl-C or SIGTERM, is answered afterwards: amid a start it would leave a worker
    without the end of what it is to do, of which that complains.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    multiprocessing.resource_tracker.ensure_running()  # which would let the signal through when it starts
    asked: list[int] = []
    # Handlers and not the mask alone, which holds for this thread: another one may take the signal for the process.
    handlers = {request: signal.signal(request, lambda number, _: asked.append(number)) for request in _TO_END}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # the new process inherits it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for request, handler in handlers.items():
            signal.signal(request, signal.SIG_DFL if handler is None else handler)
        for number in asked:
            signal.raise_signal(number)


def _check_start(processes: Iterable[BaseProcess]) -> None:
    """Find out why a pool was lost before one of its workers was ready.

    Raises:
        SynthctError: not for lack of memory, but since the script that starts them is run in them, or fails there.
    """
    for process in processes:
        process.join(STOP_SECONDS)
    codes = {process.exitcode for process in processes}
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if UNGUARDED in codes:
        raise SynthctError(
            f"Python runs {script} again in every worker process, where it would start workers in turn; protect the "
            "script with if __name__ == '__main__': and put all that is to run once below it."
        )
    if script and 1 in codes:  # an error of Python, which it has shown
        raise SynthctError(
            "Worker processes ended with the error above while they were started; Python runs "
            f"{script} in each of them first, so if that is a script of yours, protect it with "
            "if __name__ == '__main__': and put all that is to run once below it."
        )


def _begin_worker(threads: int, begun: Event) -> None:
    """A worker ends with its parent, and has its share of the cores: not each a thread a core."""
    begun.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    end_with_parent()
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _work(function: Callable[..., Any], case: str, values: tuple[Any, ...]) -> Any:
    """A case in a worker. Asked to end, it removes what it has half written; at other times there is nothing to do."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return call_named(function, case, values)
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(pool: ProcessPoolExecutor) -> None:
    """Give up waiting work and end the workers at once, so that Ctrl-C returns promptly."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    end = time.monotonic() + STOP_SECONDS
    for process in processes:
        process.join(timeout=max(0.0, end - time.monotonic()))
        process.kill()


def end_with_parent() -> None:
    """End this worker process when its parent ends, even by SIGKILL: it must not write on beside a second run."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    # Elsewhere, and where the parent had ended before that call.
    threading.Thread(target=_wait_for_the_parents_end, daemon=True).start()


def _wait_for_the_parents_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
