"""The same work in this process, in a pool or on an executor; failures are told with their case.

Functions of the standard library stand for the work, because they travel to other processes from anywhere.
"""

from __future__ import annotations

import operator
import os
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_a_worker_that_is_ended_from_outside_is_told_and_does_not_hang():
    with pytest.raises(SynthctError, match=r"lack of memory; use fewer workers .*P1"):
        run_cases(os._exit, {"P1": (1,), "P2": (1,)}, workers=2)


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
