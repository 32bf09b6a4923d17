"""The same work in this process, in a pool or on an executor; failures and lost workers are told with their case."""

from __future__ import annotations

import multiprocessing
import operator
import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synthct.errors import PlanError, SynthctError
from synthct.files import read_json
from synthct.parallel import available_cores, run_cases


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_by_case_in_the_order_given(workers):
    arguments = {f"P{i}": (i, 2) for i in (3, 1, 2)}
    results = run_cases(operator.mul, arguments, workers=workers)
    assert list(results.items()) == [("P3", 6), ("P1", 2), ("P2", 4)]


def test_no_case_is_no_work():
    assert run_cases(operator.mul, {}, workers=4) == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_carries_the_case(workers):
    with pytest.raises(RuntimeError, match="P2: ZeroDivisionError"):
        run_cases(operator.truediv, {"P1": (1, 1), "P2": (1, 0)}, workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_that_the_user_can_mend_comes_as_it_is(tmp_path, workers):
    with pytest.raises(PlanError, match="P1.json is missing"):
        run_cases(read_json, {"P1": (tmp_path / "P1.json", PlanError)}, workers=workers)


def end_worker_at(case: str, fatal: str, folder: Path) -> str:
    """Leave a file that tells the case, and end the process as the system does it for lack of memory."""
    (folder / f"{case} {uuid.uuid4().hex}").touch()
    if case == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return case


def end_worker_once(case: str, fatal: str, folder: Path) -> str:
    if case == fatal and not (folder / "ended").exists():
        (folder / "ended").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return case


def test_a_case_that_ends_its_worker_is_named_and_the_others_are_done(tmp_path):
    arguments = {f"P{i}": (f"P{i}", "P2", tmp_path) for i in range(6)}
    with pytest.raises(SynthctError, match=r"^P2: the worker process was ended .* memory; .*The other 5 cases"):
        run_cases(end_worker_at, arguments, workers=2)
    begun = [path.name.split()[0] for path in tmp_path.iterdir()]
    assert set(begun) == set(arguments)
    assert begun.count("P2") == 2


def test_a_worker_that_is_ended_once_costs_nothing_but_time(tmp_path, caplog):
    arguments = {f"P{i}": (f"P{i}", "P1", tmp_path) for i in range(4)}
    results = run_cases(end_worker_once, arguments, workers=2)
    assert list(results.items()) == [(case, case) for case in arguments]
    assert "done again at the end, one at a time: " in caplog.text and "P1" in caplog.text


def test_where_no_worker_lives_long_enough_for_a_case_it_is_told_at_once():
    begin = time.monotonic()
    with pytest.raises(SynthctError, match=r"again and again before a case was done.* Not finished: .*P49"):
        run_cases(os._exit, {f"P{i}": (1,) for i in range(50)}, workers=2)
    assert time.monotonic() - begin < 30


def test_the_workers_of_a_killed_process_end_at_once(tmp_path):
    work = {f"P{i}": (60, tmp_path / str(i)) for i in range(4)}
    parent = multiprocessing.get_context("spawn").Process(
        target=run_cases, args=(tell_process_and_sleep, work), kwargs={"workers": 2}
    )
    parent.start()
    end = time.monotonic() + 60
    while len(begun := list(tmp_path.iterdir())) < 2 or not all(path.read_text() for path in begun):
        assert time.monotonic() < end
        time.sleep(0.05)
    parent.kill()
    parent.join()
    workers = [int(path.read_text()) for path in begun]
    end = time.monotonic() + 2
    while any(map(is_alive, workers)):
        assert time.monotonic() < end, "a worker outlives its parent"
        time.sleep(0.02)


def tell_process_and_sleep(seconds: float, path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(seconds)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_the_system_refuses_is_told_with_the_case_and_the_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SynthctError, match=r"^P1: .*folder: Is a directory"):
        run_cases(os.unlink, {"P1": (tmp_path / "folder",)})


def test_after_a_failure_waiting_work_is_given_up():
    begin = time.monotonic()
    arguments = {"P0": ("no number",)} | {f"P{i}": (20,) for i in range(1, 9)}
    with pytest.raises(RuntimeError, match="P0: TypeError"):
        run_cases(time.sleep, arguments, workers=2)
    assert time.monotonic() - begin < 15


def test_any_executor_will_do_and_stays_open():
    with ThreadPoolExecutor(2) as executor:
        assert run_cases(operator.add, {"P1": (1, 2)}, executor=executor) == {"P1": 3}
        assert executor.submit(operator.add, 1, 1).result() == 2


def test_progress_is_told_the_number_of_cases():
    seen = {}

    def display(iterable, **options):
        seen.update(options)
        return iterable

    run_cases(operator.add, {"P1": (1, 2), "P2": (3, 4)}, progress=display, describe="Adding")
    assert seen == {"total": 2, "desc": "Adding", "unit": "case"}


def test_this_process_has_a_core():
    assert 1 <= available_cores() <= os.cpu_count()
