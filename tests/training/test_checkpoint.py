from __future__ import annotations

import pickle
import resource

import pytest
import torch

import synthct
from synthct.errors import ModelError
from synthct.training.checkpoint import KEYS, load_checkpoint, save_checkpoint

CONTENT = dict.fromkeys(KEYS, 0) | {"networks": {"syn_ct": {"weight": torch.arange(1000.0)}}}


def test_round_trip(tmp_path):
    save_checkpoint(tmp_path / "c.pth", CONTENT)
    loaded = load_checkpoint(tmp_path / "c.pth")
    assert torch.equal(loaded["networks"]["syn_ct"]["weight"], torch.arange(1000.0))
    assert loaded["format_version"] == 1
    assert loaded["synthct_version"] == synthct.__version__
    assert [p.name for p in tmp_path.iterdir()] == ["c.pth"]


def test_missing_truncated_foreign_and_newer_files_are_one_sentence(tmp_path):
    whole = tmp_path / "whole.pth"
    save_checkpoint(whole, CONTENT)

    def message(name: str) -> str:
        with pytest.raises(ModelError) as fault:
            load_checkpoint(tmp_path / name)
        text = str(fault.value)
        assert name in text
        assert "\n" not in text
        return text

    assert "missing" in message("nothing.pth")
    for share in (0.0, 0.3, 0.9):
        data = whole.read_bytes()
        (tmp_path / "cut.pth").write_bytes(data[: int(len(data) * share)])
        assert "damaged" in message("cut.pth")
    (tmp_path / "text.pth").write_text("no checkpoint at all")
    assert "damaged" in message("text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    assert "not a checkpoint of synthct" in message("list.pth")
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    assert "not a checkpoint of synthct" in message("other.pth")
    torch.save(CONTENT | {"format_version": 99, "synthct_version": "9.0"}, tmp_path / "newer.pth")
    assert "9.0" in message("newer.pth")
    assert "update synthct" in message("newer.pth")
    torch.save({"format_version": 1}, tmp_path / "poor.pth")
    assert "lacks configuration" in message("poor.pth")


class _Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nothing_in_a_checkpoint_is_executed(tmp_path, capsys):
    torch.save({"format_version": 1, "x": _Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "evil.pth")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "pickle.pth")
    assert "executed" not in capsys.readouterr().out


def test_a_failed_save_leaves_the_earlier_checkpoint(tmp_path):
    save_checkpoint(tmp_path / "c.pth", CONTENT)
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError)):
        save_checkpoint(tmp_path / "c.pth", CONTENT | {"x": lambda: 0})
    assert load_checkpoint(tmp_path / "c.pth")["step"] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["c.pth"]


def test_a_full_disk_is_reported_in_one_sentence_and_leaves_the_earlier_checkpoint(tmp_path):
    path = tmp_path / "c.pth"
    save_checkpoint(path, CONTENT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # no file can grow beyond this
    try:
        with pytest.raises(ModelError, match=r"c.pth cannot be written \(.+\), most likely for lack of space") as fault:
            save_checkpoint(path, CONTENT | {"x": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(fault.value)
    assert load_checkpoint(path)["step"] == 0
    assert list(tmp_path.iterdir()) == [path]
