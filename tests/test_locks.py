"""One writer a folder, many readers; a lock ends with its process, and says who holds it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from synthct import locks
from synthct.locks import FolderInUseError, reading, section, writing

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)


def test_who_comes_second_is_reported_who_works_there(tmp_path, impatient):
    with writing(tmp_path / "cts", "synthct_predict"):
        with pytest.raises(FolderInUseError) as fault:
            with writing(tmp_path / "cts", "synthct_predict"):
                pass
    message, here = str(fault.value), tmp_path / "cts"
    assert message.startswith(f"{here} is in use by synthct_predict (process {os.getpid()} on {socket.gethostname()} ")
    assert re.search(r" since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\); wait until it has ended\.$", message)


def test_a_lock_leaves_nothing(tmp_path):
    with writing(tmp_path / "deeper" / "cts", "synthct_predict"):
        (hidden,) = (tmp_path / "deeper").iterdir()
        assert hidden.name == ".cts.lock"
    assert list(tmp_path.iterdir()) == []
    with writing(tmp_path / "deeper" / "cts", "synthct_predict"):
        (tmp_path / "deeper" / "cts").mkdir()
    assert list((tmp_path / "deeper").iterdir()) == [tmp_path / "deeper" / "cts"]


def test_readers_share_and_keep_a_writer_out_until_the_last_has_gone(tmp_path, impatient):
    with reading(tmp_path / "data", "synthct_train"):
        with reading(tmp_path / "data", "synthct_train"):
            with pytest.raises(FolderInUseError, match="by synthct_train"), writing(tmp_path / "data", "other"):
                pass
        with pytest.raises(FolderInUseError), writing(tmp_path / "data", "other"):
            pass
        with reading(tmp_path / "data", "synthct_train"):
            pass
    with writing(tmp_path / "data", "other"):
        with pytest.raises(FolderInUseError, match="by other"), reading(tmp_path / "data", "synthct_train"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_folders_under_two_names_are_one(tmp_path, impatient):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    with writing(tmp_path / "data", "one"), pytest.raises(FolderInUseError), writing(tmp_path / "link", "other"):
        pass


def hold(folder: Path, started: object) -> None:
    with writing(folder, "synthct_train"):
        started.set()
        time.sleep(60)


def test_a_lock_ends_with_a_killed_process(tmp_path):
    started = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path / "data", started))
    process.start()
    assert started.wait(30)
    with pytest.raises(FolderInUseError, match=f"process {process.pid} "), writing(tmp_path / "data", "other"):
        pass
    process.kill()
    with writing(tmp_path / "data", "other"):
        assert [path.name for path in tmp_path.iterdir()] == [".data.lock"]
    process.join()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_that_outlives_its_parent_holds_no_lock(tmp_path, impatient):
    with writing(tmp_path / "data", "one"):
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
    try:
        with writing(tmp_path / "data", "other"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_section_waits_for_the_others(tmp_path):
    done: list[int] = []

    def work(number: int) -> None:
        with section(tmp_path / "model"):
            done.append(number)
            time.sleep(0.05)
            done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done[::2] == done[1::2] and sorted(done[::2]) == [0, 1, 2, 3]


def test_what_killed_runs_left_goes_when_a_folder_is_held_and_when_it_is_let_go(tmp_path):
    for folder in (tmp_path / "data", tmp_path / "data" / "2d"):
        folder.mkdir()
        (folder / ".0123abcd.partial.P1.npz").write_text("half")
    with writing(tmp_path / "data", "one"):
        assert [path.name for path in tmp_path.glob("data/**/*")] == ["2d"]
        (tmp_path / "data" / "2d" / ".0123abcd.partial.P2.npz").write_text("half")
    assert [path.name for path in tmp_path.glob("data/**/*")] == ["2d"]


def test_a_section_leaves_alone_what_others_are_writing_further_down(tmp_path):
    (tmp_path / "model" / "fold_1").mkdir(parents=True)
    other = tmp_path / "model" / "fold_1" / ".0123abcd.partial.checkpoint_latest.pth"
    other.write_text("half")
    with section(tmp_path / "model"):
        assert other.exists()


def refuse(monkeypatch, number: int, *, what: str) -> None:
    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl if what == "flock" else locks.os, what, refused)


def test_where_nothing_can_be_written_it_can_be_read(tmp_path, monkeypatch):
    refuse(monkeypatch, errno.EROFS, what="open")
    with reading(tmp_path, "synthct_train"):
        pass


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    refuse(monkeypatch, errno.ENOLCK, what="flock")
    with writing(tmp_path / "data", "one"):
        pass
    assert "has no locks" in caplog.text


def test_without_the_right_to_write_beside_the_folder_the_lock_is_in_it(tmp_path, monkeypatch, impatient):
    (tmp_path / "data").mkdir()
    open_ = os.open

    def beside_refused(path: object, *how: int) -> int:
        if Path(str(path)).parent == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_(path, *how)

    monkeypatch.setattr(locks.os, "open", beside_refused)
    with writing(tmp_path / "data", "one"):
        assert [path.name for path in (tmp_path / "data").iterdir()] == [".lock"]
        with pytest.raises(FolderInUseError), writing(tmp_path / "data", "other"):
            pass
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("content", ["", "no json\n", "[1]\n", '{"who": "x"}\n'])
def test_a_lock_that_says_nothing_of_its_holder_is_one(tmp_path, impatient, content):
    with writing(tmp_path / "data", "one"):
        (tmp_path / ".data.lock").write_text(content)
        with pytest.raises(FolderInUseError, match="in use by another process;"), writing(tmp_path / "data", "other"):
            pass
