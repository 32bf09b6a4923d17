"""A file is written atomically; JSON is readable, and reported in one sentence where it is not JSON."""

from __future__ import annotations

import json
import os

import pytest

from synthct.errors import DatasetError, PlanError, SynthctError
from synthct.files import folder_written_whole, read_json, remove_leftovers, write_json, write_text, written_whole


def test_a_failure_while_writing_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("the disk is full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_is_hidden_and_keeps_the_ending(tmp_path):
    with written_whole(tmp_path / "deeper" / "P.nii.gz") as temporary:
        assert temporary.name.startswith(".") and temporary.name.endswith(".nii.gz")
        assert temporary.parent == tmp_path / "deeper"
        temporary.write_bytes(b"1")
    assert (tmp_path / "deeper" / "P.nii.gz").read_bytes() == b"1"


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    done = []
    flush, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("flushed"), flush(number)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("moved"), replace(*paths)))
    write_text("1", tmp_path / "a.txt")
    assert done == ["flushed", "moved"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    ours = [".0123abcd.partial.checkpoint_latest.pth", ".ffffffff.partial.split.json"]
    others = ["checkpoint_latest.pth", ".partial.a", ".0123abcd.partial.", "0123abcd.partial.a", ".mine.partial.a"]
    for name in ours + others:
        (tmp_path / name).write_text("half")
    (tmp_path / ".0123abcd.partial.folder" / "deeper").mkdir(parents=True)
    (tmp_path / "qa").mkdir()
    (tmp_path / "qa" / ".0123abcd.partial.P1.json").write_text("half")
    remove_leftovers(tmp_path, of="c*")
    assert {path.name for path in tmp_path.iterdir()} >= {ours[1], ".0123abcd.partial.folder"}
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "qa"])
    assert list((tmp_path / "qa").iterdir()) != []
    remove_leftovers(tmp_path, deep=True)
    assert list((tmp_path / "qa").iterdir()) == []
    with written_whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        remove_leftovers(tmp_path)
        assert not temporary.exists()  # it knows those that written_whole makes
        temporary.write_text("whole")
    remove_leftovers(tmp_path / "nowhere")


def test_text_that_is_there_already_is_not_written_again(tmp_path):
    path = tmp_path / "a.txt"
    write_text("Zürich\n", path)
    before = path.stat()
    write_text("Zürich\n", path)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    write_text("Basel\n", path)
    assert path.read_text(encoding="utf-8") == "Basel\n"


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": []}, {"a": [1, 2.5, None, True]}, [[1, 2], [3]], {"ü": {"b": [{"c": 1}, {}]}}, [1e-12, 1e300], "x"],
)
def test_json_is_the_same_after_writing_and_reading(tmp_path, value):
    write_json(value, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == value
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value


def test_lists_of_numbers_stay_on_one_line(tmp_path):
    write_json({"spacing_mm": [1.0, 0.87, 0.87], "folds": [{"val": ["P1"]}]}, tmp_path / "a.json")
    assert '"spacing_mm": [1.0, 0.87, 0.87],' in (tmp_path / "a.json").read_text().splitlines()[1]


def test_numbers_that_json_does_not_have_are_not_written(tmp_path):
    with pytest.raises(ValueError):
        write_json({"a": float("nan")}, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "a.json").write_text('{"a": "ü"}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"a": "ü"}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1,}', b"\xff\xfe{\x00}\x00"])
def test_what_is_no_json_is_reported_as_the_callers_error(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(PlanError, match="a.json is not valid JSON"):
        read_json(tmp_path / "a.json", PlanError)


def test_a_missing_file_and_a_folder_are_reported(tmp_path):
    with pytest.raises(DatasetError, match="a.json is missing"):
        read_json(tmp_path / "a.json", DatasetError)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_json(tmp_path, DatasetError)


# -- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_takes_the_place_of_the_former_one(tmp_path):
    for content in ("old", "new"):
        with folder_written_whole(tmp_path / "deeper" / "ct") as temporary:
            assert temporary.name.startswith(".") and temporary.parent == tmp_path / "deeper"
            (temporary / content).write_text(content)
    assert [path.name for path in (tmp_path / "deeper").rglob("*")] == ["ct", "new"]


def test_folders_in_a_folder_come_with_it(tmp_path):
    with folder_written_whole(tmp_path / "model") as temporary:
        (temporary / "fold_0").mkdir()
        (temporary / "fold_0" / "weights").write_text("7")
    assert (tmp_path / "model" / "fold_0" / "weights").read_text() == "7"


def test_a_failure_while_writing_a_folder_keeps_the_old_one_and_leaves_nothing_else(tmp_path):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "old").write_text("old")
    with pytest.raises(RuntimeError), folder_written_whole(tmp_path / "ct") as temporary:
        (temporary / "half").write_text("half")
        raise RuntimeError("the disk is full")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["ct", "old"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "old").write_text("old")
    replace, calls = os.replace, []

    def second_fails(*paths):
        calls.append(paths)
        if len(calls) == 2:
            raise OSError("no permission")
        replace(*paths)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError), folder_written_whole(tmp_path / "ct") as temporary:
        (temporary / "new").write_text("new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["ct", "old"]


def test_what_a_killed_process_left_of_a_folder_is_removed_at_the_next_attempt(tmp_path):
    for name in (".0123abcd.partial.ct", ".0123abcd.partial.other", ".mine.partial.ct"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    with folder_written_whole(tmp_path / "ct"):
        assert not (tmp_path / ".0123abcd.partial.ct").exists()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"ct", ".0123abcd.partial.other", ".mine.partial.ct"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * 60 + "]" * 60, "nested too deeply"),
        ("9" * 5000, "digits"),
        ("NaN", "NaN or infinite"),
        ('{"a": [1e999]}', "NaN or infinite"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands there twice"),
        ('["\\ud800"]', "half of a surrogate pair"),
        ('{"\\udfff": 1}', "half of a surrogate pair"),
        (b"\xff\xfe\x00", "not valid JSON"),
    ],
)
def test_json_that_python_reads_and_cannot_work_with_is_reported(tmp_path, content, words):
    path = tmp_path / "f.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SynthctError, match=words) as fault:
        read_json(path)
    assert str(path) in str(fault.value) and "\n" not in str(fault.value)
