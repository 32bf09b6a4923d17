"""For all tests: one thread, so that workers of a parallel run do not fight for the cores."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).parent))  # for synthetic_heads, synthetic_datasets and browser
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; and in the processes that tests start
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

# Random examples: few and the same ones at every run; make test-long takes many new ones (--hypothesis-profile=long).
_ANY = {"deadline": None, "print_blob": True, "suppress_health_check": list(hypothesis.HealthCheck)}
hypothesis.settings.register_profile("short", max_examples=25, derandomize=True, database=None, **_ANY)
hypothesis.settings.register_profile("long", max_examples=1000, **_ANY)
hypothesis.settings.load_profile("short")


@pytest.fixture(autouse=True)
def no_folders_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests say themselves where data are, whatever the user's environment says."""
    for name in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def logger_as_before() -> Iterator[None]:
    """Commands set up the logger for the terminal; other tests must find it as it was."""
    logger = logging.getLogger("synthct")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture(scope="module")  # gone again when other modules count the processes that they leave
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A dask scheduler in this process and two worker processes of one thread; none of them outlives the module."""
    import psutil
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        local_directory=str(tmp_path_factory.mktemp("dask")),
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster
        pids = [nanny.pid for nanny in cluster.workers.values()]
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.fixture
def scheduler(running_cluster) -> str:
    """The address of the cluster's scheduler, with both workers there."""
    from distributed import Client

    with Client(running_cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
    return running_cluster.scheduler_address
