"""A ``dask.distributed`` cluster as a ``concurrent.futures.Executor``; the package is an optional extra."""

from __future__ import annotations

import asyncio
import logging
import os
import pkgutil
import platform
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from synthct import __version__
from synthct.errors import SynthctError
from synthct.parallel import available_cores

CONNECT_S = 10  # a scheduler that does not answer in this time is not there
WORKERS_S = 30  # for the first worker to arrive: batch systems start them one by one


@contextmanager
def cluster_executor(address: str, *, reads: Sequence[Path] = (), writes: Sequence[Path] = ()) -> Iterator[Executor]:
    """Connect to a running cluster; it goes on after the block, and work still waiting in an error is cancelled.

    Args:
        address: of the scheduler, such as ``tcp://node1:8786``.
        reads: files and folders that the workers must see under the same absolute path.
        writes: folders, existing or to be made, that must be the same on all workers; a probe is written for a moment.

    Yields:
        What ``CaseRunner(executor=...)`` takes.

    Raises:
        SynthctError: the extra is not installed, no scheduler answers, no worker is there, or one has other
            versions or does not see the files.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SynthctError(
            "--scheduler needs the package distributed, which is not installed here; "
            "install it: pip install 'synthct[cluster]'."
        ) from None
    _greet(address)
    client = Client(address, timeout=CONNECT_S, set_as_default=False)
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL)  # a lost connection is recognised by an error, not by a traceback beside it
    try:
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except (TimeoutError, asyncio.TimeoutError):  # one and the same from Python 3.11
            raise SynthctError(
                f"The scheduler {address} has no worker; start some: dask worker {address} --nthreads 1."
            ) from None
        _check_versions(client)
        _check_files(client, [Path(path).absolute() for path in reads], [Path(path).absolute() for path in writes])
        _share_cores(client)
        executor = client.get_executor(pure=False)  # the work is what the tasks write: none may stand for another
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)
            raise
    finally:
        client.close()
        log.setLevel(level)


def _greet(address: str) -> None:
    """Whether a scheduler answers there. A ``Client`` alone would wait for ever where something else listens."""
    from distributed import Security, rpc

    async def identity() -> dict[str, Any]:
        async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
            return await scheduler.identity()

    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has a running event loop in its own
            who = thread.submit(asyncio.run, asyncio.wait_for(identity(), CONNECT_S)).result()
    except (TimeoutError, asyncio.TimeoutError):
        reason = f"there was no answer in {CONNECT_S} s"
    except Exception as fault:  # of an address that is none, and what another program's answer makes of dask's protocol
        reason = (str(fault).splitlines() or [type(fault).__name__])[0].rstrip(".")
    else:
        if who.get("type") == "Scheduler":
            return
        reason = f"there is a {str(who.get('type')).lower()}"
    raise SynthctError(
        f"No dask scheduler can be reached at '{address}' ({reason}); "
        "give the address that dask scheduler prints, such as tcp://node1:8786."
    )


def _check_versions(client: Any) -> None:
    """Raise SynthctError for a worker whose results need not be those of this process."""
    for worker, version in client.run(platform.python_version, on_error="return").items():
        if isinstance(version, str) and version.split(".")[:2] != platform.python_version().split(".")[:2]:
            raise SynthctError(
                f"The worker {worker} runs Python {version} and this process {platform.python_version()}; "
                "start it with the Python of this environment."
            )
    # By name: a function of this package could not even be unpacked where the package is not installed.
    for worker, version in client.run(pkgutil.resolve_name, "synthct:__version__", on_error="return").items():
        if isinstance(version, ImportError):
            raise SynthctError(f"The worker {worker} has no synthct; install synthct {__version__} where it runs.")
        if isinstance(version, str) and version != __version__:
            raise SynthctError(
                f"The worker {worker} has synthct {version} and this process {__version__}; install one version."
            )


def _check_files(client: Any, reads: Sequence[Path], writes: Sequence[Path]) -> None:
    """Raise SynthctError for a worker that sees other files under these absolute paths."""
    for path in reads:
        if path.exists():  # what is missing here too is reported where it is needed
            _check_seen(client, path, path)
    for folder in writes:
        existing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
        with tempfile.NamedTemporaryFile(prefix=".synthct_probe_", dir=existing) as probe:
            _check_seen(client, Path(probe.name), folder)


def _check_seen(client: Any, path: Path, folder: Path) -> None:
    for worker, seen in client.run(os.path.exists, str(path), on_error="return").items():
        if seen is False:
            raise SynthctError(
                f"The worker {worker} does not see {folder}; raw, preprocessed and results folders, MRs and output "
                "must be on a file system that all workers see under the same path."
            )


def _share_cores(client: Any) -> None:
    """Divide each machine's cores among the tasks that run on it at once; a worker started later takes them all."""
    n_threads = client.nthreads()
    tasks_on_host: Counter[str | None] = Counter()
    for worker, number in n_threads.items():
        tasks_on_host[urlsplit(worker).hostname] += number
    client.run(_take_cores, {worker: tasks_on_host[urlsplit(worker).hostname] for worker in n_threads})


def _take_cores(n_tasks: dict[str, int], dask_worker: Any) -> None:
    import SimpleITK as sitk

    share = available_cores() // n_tasks.get(dask_worker.address, 1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(max(1, share))
