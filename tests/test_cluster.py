"""Work on a cluster of two worker processes: the same results and errors as here, and workers that are lost."""

from __future__ import annotations

import logging
import operator
import os
import pickle
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

import synthct.cluster
from synthct import errors
from synthct.cluster import cluster_executor
from synthct.errors import PlanError, SynthctError
from synthct.files import read_json
from synthct.parallel import CaseRunner

LOOPBACK = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def record(case: str, folder: Path) -> str:
    """Leave a file that names the case and the process."""
    (folder / f"{case} {os.getpid()} {uuid.uuid4().hex}").touch()
    return case


def record_and_wait(case: str, folder: Path) -> str:
    """As ``record``, but P0 ends at once, P1 when there is a file ``go on``, and the others when there is ``go``."""
    record(case, folder)
    if case != "P0":
        wait_until((folder / ("go on" if case == "P1" else "go")).exists)
    return case


def runs(folder: Path, case: str) -> list[int]:
    """The process of each time that a case was begun."""
    return [int(path.name.split()[1]) for path in folder.glob(f"{case} *")]


def end_worker_at(case: str, fatal: str) -> str:
    if case == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return case


# -- results and errors ----------------------------------------------------------------------------------------------


def test_results_are_those_of_a_local_pool_in_the_order_given(scheduler):
    arguments = {f"P{i}": (i, 2) for i in (3, 1, 2)}
    with cluster_executor(scheduler) as executor:
        results = CaseRunner(executor=executor).run(operator.mul, arguments)
    assert list(results.items()) == list(CaseRunner(workers=2).run(operator.mul, arguments).items())


def test_the_work_is_done_by_the_clusters_processes(scheduler):
    with cluster_executor(scheduler) as executor:
        pids = CaseRunner(executor=executor).run(os.getpid, {f"P{i}": () for i in range(4)})
    assert os.getpid() not in pids.values()


def test_a_failure_carries_the_case(scheduler):
    with cluster_executor(scheduler) as executor, pytest.raises(RuntimeError, match="P2: ZeroDivisionError"):
        CaseRunner(executor=executor).run(operator.truediv, {"P1": (1, 1), "P2": (1, 0)})


def test_an_error_that_the_user_can_fix_comes_as_it_is(scheduler, tmp_path):
    with cluster_executor(scheduler) as executor, pytest.raises(PlanError) as fault:
        CaseRunner(executor=executor).run(read_json, {"P1": (tmp_path / "P1.json", PlanError)})
    assert str(fault.value) == f"{tmp_path / 'P1.json'} is missing; restore the file."


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_errors_travel(kind):
    copy = pickle.loads(pickle.dumps(kind("A is wrong; fix it.")))
    assert type(copy) is kind and str(copy) == "A is wrong; fix it."


def test_after_a_failure_waiting_work_is_given_up_and_the_cluster_goes_on(scheduler, tmp_path):
    begin = time.monotonic()
    with cluster_executor(scheduler) as executor:
        runner = CaseRunner(executor=executor)
        with pytest.raises(RuntimeError, match="P0: TypeError"):
            runner.run(time.sleep, {"P0": ("no number",)} | {f"P{i}": (1.5,) for i in range(1, 41)})
        assert runner.run(record, {"P": ("P", tmp_path)}) == {"P": "P"}
    assert time.monotonic() - begin < 15  # not 30


def test_an_error_of_ones_own_gives_up_what_is_under_way(scheduler, tmp_path):
    with pytest.raises(KeyboardInterrupt), cluster_executor(scheduler) as executor:
        futures = [executor.submit(record_and_wait, f"P{i}", tmp_path) for i in range(2, 10)]
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        raise KeyboardInterrupt
    assert all(future.cancelled() for future in futures)
    (tmp_path / "go").touch()
    with cluster_executor(scheduler) as executor:
        CaseRunner(executor=executor).run(operator.add, {f"P{i}": (1, 2) for i in range(8)})
    assert len(list(tmp_path.glob("P*"))) < 8


# -- lost workers ----------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_survived_and_what_it_had_done_is_not_done_again(scheduler, tmp_path):
    cases, gathered = [f"P{i}" for i in range(6)], []

    def progress(futures, **_):
        for future in futures:
            gathered.append(time.monotonic())
            yield future

    with cluster_executor(scheduler) as executor, ThreadPoolExecutor(1) as thread:
        arguments = {case: (case, tmp_path) for case in cases}
        run = thread.submit(CaseRunner(executor=executor, progress=progress).run, record_and_wait, arguments)
        try:
            wait_until(lambda: len(gathered) == 1)
            (tmp_path / "go on").touch()
            wait_until(lambda: len(gathered) == 2)
            (killed,) = runs(tmp_path, "P0")
            wait_until(lambda: any(killed in runs(tmp_path, case) for case in cases[2:]))
            os.kill(killed, signal.SIGKILL)
        finally:
            for name in ("go on", "go"):
                (tmp_path / name).touch()
        results = run.result(timeout=30)
    assert list(results.items()) == [(case, case) for case in cases]
    (lost,) = [case for case in cases[2:] if killed in runs(tmp_path, case)]
    assert len(runs(tmp_path, lost)) == 2
    assert len(runs(tmp_path, "P0")) == 1


def test_a_case_that_ends_every_worker_is_named(scheduler):
    arguments = {f"P{i}": (f"P{i}", "P2") for i in range(4)}
    with cluster_executor(scheduler) as executor:
        with pytest.raises(SynthctError, match=r"^(P\d, )*P2(, P\d)*: .* memory"):  # dask may blame others, too
            CaseRunner(executor=executor).run(end_worker_at, arguments)


def test_a_connection_that_is_lost_is_reported_with_what_is_not_finished(tmp_path):
    with LocalCluster(n_workers=1, silence_logs=logging.CRITICAL, **LOOPBACK) as cluster:
        with cluster_executor(cluster.scheduler_address) as executor, ThreadPoolExecutor(1) as thread:
            run = thread.submit(CaseRunner(executor=executor).run, record_and_wait, {"P2": ("P2", tmp_path)})
            wait_until(lambda: runs(tmp_path, "P2") != [])
            cluster.close()
            with pytest.raises(SynthctError, match=r"connection to the scheduler was lost.* Not finished: P2\."):
                run.result(timeout=30)


# -- connecting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["", "node1", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "http://127.0.0.1:8786"])
def test_what_is_no_address_is_reported(address):
    with pytest.raises(SynthctError, match="No dask scheduler can be reached at '.*give the address") as fault:
        with cluster_executor(address):
            pass
    assert f"'{address}'" in str(fault.value)


def test_an_address_where_something_else_listens_is_reported(monkeypatch):
    monkeypatch.setattr(synthct.cluster, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(SynthctError, match="there was no answer in 0.5 s"):
            with cluster_executor(f"tcp://127.0.0.1:{server.getsockname()[1]}"):
                pass


def test_the_address_of_a_worker_is_reported(scheduler):
    with Client(scheduler, set_as_default=False) as client:
        worker = next(iter(client.nthreads()))
    with pytest.raises(SynthctError, match="there is a worker"):
        with cluster_executor(worker):
            pass


def test_a_cluster_without_workers_is_reported(monkeypatch):
    monkeypatch.setattr(synthct.cluster, "WORKERS_S", 0.2)
    with LocalCluster(n_workers=0, **LOOPBACK) as cluster:
        with pytest.raises(SynthctError, match="has no worker; start some: dask worker tcp://127.0.0.1"):
            with cluster_executor(cluster.scheduler_address):
                pass


def test_workers_of_another_version_are_reported(scheduler, monkeypatch):
    monkeypatch.setattr(synthct.cluster, "__version__", "99.0")
    with pytest.raises(SynthctError, match="The worker tcp://.* has synthct .* and this process 99.0"):
        with cluster_executor(scheduler):
            pass


class Elsewhere:
    """Stands for a client: a machine with these answers."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers

    def run(self, function: Callable[..., object], *arguments: object, on_error: str) -> dict[str, object]:
        return {"tcp://node2:1": self.answers[function.__name__]}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"python_version": "3.1.4"}, "tcp://node2:1 runs Python 3.1.4"),
        ({"python_version": OSError(), "resolve_name": ModuleNotFoundError()}, "tcp://node2:1 has no synthct; install"),
    ],
)
def test_workers_of_another_environment_are_reported(answers, words):
    with pytest.raises(SynthctError, match=words):
        synthct.cluster._check_versions(Elsewhere(answers))


def test_a_folder_that_a_worker_does_not_see_is_reported_and_nothing_is_left_in_it(tmp_path):
    for folders in (([tmp_path], []), ([], [tmp_path / "new" / "cts"])):
        with pytest.raises(SynthctError, match=f"tcp://node2:1 does not see {tmp_path}"):
            synthct.cluster._check_files(Elsewhere({"exists": False}), *folders)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_the_workers_see_are_left_as_they_were(scheduler, tmp_path):
    with cluster_executor(scheduler, reads=[tmp_path], writes=[tmp_path / "new" / "cts"]):
        assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SynthctError, match=r"pip install 'synthct\[cluster\]'"):
        with cluster_executor("tcp://127.0.0.1:8786"):
            pass
