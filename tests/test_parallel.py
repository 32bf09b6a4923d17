"""The same work in this process, in a pool or on an executor; failures and lost workers name their case."""

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

from synthct.errors import DatasetError, DiskError, PlanError, SynthctError
from synthct.files import read_json
from synthct.parallel import IN_THIS_PROCESS, CaseRunner, available_cores


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_by_case_in_the_order_given(workers):
    arguments = {f"P{i}": (i, 2) for i in (3, 1, 2)}
    results = CaseRunner(workers=workers).run(operator.mul, arguments)
    assert list(results.items()) == [("P3", 6), ("P1", 2), ("P2", 4)]


def test_without_cases_there_are_no_results():
    assert CaseRunner(workers=4).run(operator.mul, {}) == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_carries_the_case(workers):
    with pytest.raises(RuntimeError, match="P2: ZeroDivisionError"):
        CaseRunner(workers=workers).run(operator.truediv, {"P1": (1, 1), "P2": (1, 0)})


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_that_the_user_can_fix_comes_as_it_is(tmp_path, workers):
    with pytest.raises(PlanError, match="P1.json is missing"):
        CaseRunner(workers=workers).run(read_json, {"P1": (tmp_path / "P1.json", PlanError)})


def end_worker_at(case: str, fatal: str, folder: Path) -> str:
    """Leave a file that names the case, and end the process as the system does it for lack of memory."""
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
    with pytest.raises(SynthctError, match=r"^P2: the worker process was killed .* memory; .*The other 5 cases"):
        CaseRunner(workers=2).run(end_worker_at, arguments)
    begun = [path.name.split()[0] for path in tmp_path.iterdir()]
    assert set(begun) == set(arguments)
    assert begun.count("P2") == 2


def test_a_worker_that_is_ended_once_costs_nothing_but_time(tmp_path, caplog):
    arguments = {f"P{i}": (f"P{i}", "P1", tmp_path) for i in range(4)}
    results = CaseRunner(workers=2).run(end_worker_once, arguments)
    assert list(results.items()) == [(case, case) for case in arguments]
    assert "done again at the end, one at a time: " in caplog.text and "P1" in caplog.text


def test_where_no_worker_lives_long_enough_for_a_case_it_is_reported_at_once():
    begin = time.monotonic()
    with pytest.raises(SynthctError, match=r"again and again before a case was done.* Not finished: .*P49"):
        CaseRunner(workers=2).run(os._exit, {f"P{i}": (1,) for i in range(50)})
    assert time.monotonic() - begin < 30


def test_the_workers_of_a_killed_process_end_at_once(tmp_path):
    work = {f"P{i}": (60, tmp_path / str(i)) for i in range(4)}
    parent = multiprocessing.get_context("spawn").Process(
        target=CaseRunner(workers=2).run, args=(tell_process_and_sleep, work)
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


def test_what_the_system_refuses_is_reported_with_the_case_and_the_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SynthctError, match=r"^P1: .*folder: Is a directory"):
        IN_THIS_PROCESS.run(os.unlink, {"P1": (tmp_path / "folder",)})


def test_after_a_failure_waiting_work_is_given_up():
    begin = time.monotonic()
    arguments = {"P0": ("no number",)} | {f"P{i}": (20,) for i in range(1, 9)}
    with pytest.raises(RuntimeError, match="P0: TypeError"):
        CaseRunner(workers=2).run(time.sleep, arguments)
    assert time.monotonic() - begin < 15


def test_any_executor_will_do_and_stays_open():
    with ThreadPoolExecutor(2) as executor:
        assert CaseRunner(executor=executor).run(operator.add, {"P1": (1, 2)}) == {"P1": 3}
        assert executor.submit(operator.add, 1, 1).result() == 2


def test_the_progress_display_gets_the_number_of_cases():
    seen = {}

    def display(iterable, **options):
        seen.update(options)
        return iterable

    CaseRunner(progress=display).run(operator.add, {"P1": (1, 2), "P2": (3, 4)}, describe="Adding")
    assert seen == {"total": 2, "desc": "Adding", "unit": "case"}


# -- bad cases ------------------------------------------------------------------------------------------------------


def test_a_bad_case_is_recorded_and_the_others_are_done(tmp_path):
    runner = CaseRunner(bad={})
    (tmp_path / "P2.json").write_text("2")
    work = {case: (tmp_path / f"{case}.json", PlanError) for case in ("P1", "P2")}
    assert runner.run(read_json, work) == {"P2": 2}
    assert runner.left_out == {"P1": f"{tmp_path / 'P1.json'} is missing; restore the file."}
    assert runner.good({"P1": 1, "P2": 2}) == {"P2": 2}


def test_a_case_that_ends_its_worker_twice_is_bad(tmp_path):
    runner = CaseRunner(workers=2, bad={})
    arguments = {f"P{i}": (f"P{i}", "P2", tmp_path) for i in range(4)}
    assert list(runner.run(end_worker_at, arguments)) == ["P0", "P1", "P3"]
    assert list(runner.left_out) == ["P2"] and "memory" in runner.left_out["P2"]


def test_a_full_disk_is_not_the_fault_of_a_case(tmp_path):
    (tmp_path / "folder").mkdir()
    runner = CaseRunner(bad={})
    with pytest.raises(DiskError):
        runner.run(os.unlink, {"P1": (tmp_path / "folder",)})
    assert not runner.left_out


def test_a_rejected_case_keeps_all_its_sentences():
    runner = CaseRunner(bad={})
    runner.reject("P1", DatasetError("It is cut off."))
    runner.reject("P1", DatasetError("It is empty."))
    assert runner.left_out == {"P1": "It is cut off. It is empty."}


def test_without_a_record_a_rejected_case_raises():
    for runner in (IN_THIS_PROCESS, CaseRunner(bad={}).strict()):
        with pytest.raises(DatasetError, match="It is empty"):
            runner.reject("P1", DatasetError("It is empty."))
        assert not runner.skips_bad and not runner.left_out


def test_going_on_needs_a_case_that_was_not_left_out():
    runner = CaseRunner(bad={"P1": "It is empty."})
    runner.check_any_left(["P2"])
    IN_THIS_PROCESS.check_any_left([])  # there were none from the start, which others say better
    with pytest.raises(DatasetError, match="No patient is left:\n  - P1 is left out: It is empty"):
        runner.check_any_left([])


def test_a_runner_for_elsewhere_shares_the_record():
    runner = CaseRunner(workers=4, bad={})
    assert runner.with_workers(2).workers == 2 and runner.in_this_process().workers == 1
    runner.in_this_process().reject("P1", DatasetError("It is empty."))
    assert list(runner.left_out) == ["P1"]


def test_this_process_has_a_core():
    assert 1 <= available_cores() <= os.cpu_count()
