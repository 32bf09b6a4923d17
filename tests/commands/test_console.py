"""Errors to exit statuses and sentences; messages to the terminal."""

from __future__ import annotations

import logging
from concurrent.futures.process import BrokenProcessPool

import pytest

from synthct.commands import console
from synthct.errors import DatasetError


def run(action) -> int:
    return console.run(console.make_parser("synthct_try", "Try.", "synthct_try"), action, [])


def raising(fault: BaseException):
    def action(_) -> None:
        raise fault

    return action


def test_success_is_0(capsys):
    assert run(lambda _: print("done")) == 0
    assert capsys.readouterr().out == "done\n"


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        (DatasetError("A is wrong; mend it."), 2, "synthct_try: A is wrong; mend it.\n"),
        (OSError(28, "No space left on device", "/data/x"), 2, "synthct_try: /data/x: No space left on device.\n"),
        (OSError(28, "No space left on device"), 2, "synthct_try: a file: No space left on device.\n"),
        (OSError("the disk is gone"), 2, "synthct_try: a file: the disk is gone.\n"),
        (KeyboardInterrupt(), 130, "\nsynthct_try: interrupted.\n"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(capsys, fault, status, told):
    assert run(raising(fault)) == status
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("fault", [ValueError("a bug"), BrokenProcessPool("a bug")])
def test_a_bug_is_not_hidden(fault):
    with pytest.raises(type(fault)):
        run(raising(fault))


def test_messages_go_to_stdout_and_warnings_to_stderr_with_their_kind(capsys):
    def action(_) -> None:
        logger = logging.getLogger("synthct")
        logger.debug("detail")
        logger.info("told")
        logger.warning("odd")

    for _ in range(2):  # a second run in one process tells everything once
        run(action)
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("told\n", "Warning: odd\n")


def test_a_progress_bar_gives_back_what_it_is_given():
    assert list(console.progress_bar([1, 2], total=2, desc="Doing", unit="case")) == [1, 2]


@pytest.mark.parametrize(("before", "after"), [({}, "1"), ({"THP_MEM_ALLOC_ENABLE": "0"}, "0")])
def test_large_pages_are_asked_for_unless_the_user_says_otherwise(monkeypatch, before, after):
    monkeypatch.setattr(console.os, "environ", dict(before))
    console.use_large_pages()
    assert console.os.environ == {"THP_MEM_ALLOC_ENABLE": after}
