"""Errors to exit statuses and sentences; messages to the terminal."""

from __future__ import annotations

import logging
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from synthct.commands import console
from synthct.errors import DatasetError

NO_SPACE = "No space left on device; free space on the disk, and run the command again."


def run(action, *options: str) -> int:
    return console.run(console.make_parser("synthct_try", "Try.", "synthct_try"), action, options)


def raising(fault: BaseException):
    def action(_) -> None:
        raise fault

    return action


def test_success_is_0(capsys):
    assert run(lambda _: print("done")) == 0
    assert capsys.readouterr().out == "done\n"


@pytest.mark.parametrize(
    ("fault", "status", "reported"),
    [
        (DatasetError("A is wrong; fix it."), 2, "synthct_try: A is wrong; fix it.\n"),
        (
            OSError(28, "No space left on device", "/data/x"),
            2,
            f"synthct_try: /data/x: {NO_SPACE}\n",
        ),
        (
            OSError(28, "No space left on device"),
            2,
            f"synthct_try: A file: {NO_SPACE}\n",
        ),
        (OSError("the disk is gone"), 2, "synthct_try: A file: the disk is gone.\n"),
        (KeyboardInterrupt(), 130, "\nsynthct_try: interrupted.\n"),
    ],
)
def test_what_the_user_can_fix_is_one_sentence(capsys, fault, status, reported):
    assert run(raising(fault)) == status
    assert capsys.readouterr().err == reported


@pytest.mark.parametrize(
    ("fault", "reported"),
    [
        (ValueError("no such axis"), "ValueError: no such axis"),
        (BrokenProcessPool("a bug"), "BrokenProcessPool: a bug"),
        (RuntimeError("P1: KeyError: 'x'"), "P1: KeyError: 'x'"),
    ],
)
def test_a_bug_is_reported_as_one_with_status_1_and_how_to_report_it(capsys, fault, reported):
    assert run(raising(fault)) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"synthct_try: {reported}"
    assert "bug in synthct" in second and "--debug" in second


def test_debug_shows_where_a_bug_is():
    with pytest.raises(ValueError):
        console.run(
            console.make_parser("synthct_try", "Try.", "synthct_try"), raising(ValueError("a bug")), ["--debug"]
        )


def test_what_an_interrupted_import_makes_of_ctrl_c_is_ctrl_c_still(capsys):
    def action(_) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("half of a module") from None

    assert run(action) == 130
    assert capsys.readouterr().err == "\nsynthct_try: interrupted.\n"


def test_the_signals_mean_afterwards_what_they_meant_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run(lambda _: None)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_messages_go_to_stdout_and_warnings_to_stderr_with_their_kind(capsys):
    def action(_) -> None:
        logger = logging.getLogger("synthct")
        logger.debug("detail")
        logger.info("reported")
        logger.warning("odd")

    for _ in range(2):  # a second run in one process tells everything once
        run(action)
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("reported\n", "Warning: odd\n")


def test_a_progress_bar_gives_back_what_it_is_given():
    assert list(console.progress_bar([1, 2], total=2, desc="Doing", unit="case")) == [1, 2]


@pytest.mark.parametrize(("before", "after"), [({}, "1"), ({"THP_MEM_ALLOC_ENABLE": "0"}, "0")])
def test_large_pages_are_asked_for_unless_the_user_says_otherwise(monkeypatch, before, after):
    monkeypatch.setattr(console.os, "environ", dict(before))
    console.use_large_pages()
    assert console.os.environ == {"THP_MEM_ALLOC_ENABLE": after}
