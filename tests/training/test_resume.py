from __future__ import annotations

from pathlib import Path

import pytest
import torch

from synthct.errors import ModelError
from synthct.model_folder import CHECKPOINT_FINAL as FINAL
from synthct.model_folder import CHECKPOINT_LATEST as LATEST
from synthct.model_folder import FoldFolder
from synthct.training.checkpoint import KEYS, KEYS_TO_RESUME, load_checkpoint, save_checkpoint
from synthct.training.resume import find_checkpoint, holds_model

NETWORKS = {"syn_ct": {"weight": torch.arange(100.0)}}
CONTENT = dict.fromkeys((*KEYS, *KEYS_TO_RESUME), 0) | {"networks": NETWORKS}


def damage(path: Path) -> None:
    save_checkpoint(path, CONTENT)
    path.write_bytes(path.read_bytes()[:500])


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as fault:
        find_checkpoint(FoldFolder(folder))
    assert "\n" not in str(fault.value)
    return str(fault.value)


def test_the_latest_checkpoint_comes_first_then_the_final_one_then_none(tmp_path):
    assert find_checkpoint(FoldFolder(tmp_path)) is None
    save_checkpoint(tmp_path / FINAL, CONTENT | {"step": 1})
    assert find_checkpoint(FoldFolder(tmp_path))["step"] == 1
    save_checkpoint(tmp_path / LATEST, CONTENT | {"step": 2})
    assert find_checkpoint(FoldFolder(tmp_path))["step"] == 2


@pytest.mark.parametrize("only", [LATEST, FINAL])
def test_a_damaged_checkpoint_that_is_the_only_one_is_reported_with_the_remedy(tmp_path, only):
    damage(tmp_path / only)
    message = refusal(tmp_path)
    assert f"{tmp_path / only} is damaged" in message
    assert message.endswith("restore it, or train without --continue to start over.")


def test_beside_a_damaged_latest_checkpoint_the_final_one_is_offered_which_then_serves(tmp_path):
    damage(tmp_path / LATEST)
    save_checkpoint(tmp_path / FINAL, CONTENT | {"step": 1})
    assert refusal(tmp_path).endswith("restore it, or delete it to continue from checkpoint_final.pth beside it.")
    (tmp_path / LATEST).unlink()
    assert find_checkpoint(FoldFolder(tmp_path))["step"] == 1


def test_a_model_is_known_by_its_exact_weights(tmp_path):
    path = tmp_path / FINAL
    assert not holds_model(path, NETWORKS)
    save_checkpoint(path, CONTENT)
    assert holds_model(path, load_checkpoint(path)["networks"])
    assert not holds_model(path, {"syn_ct": {"weight": torch.arange(100.0).nextafter(torch.tensor(1e9))}})
    assert not holds_model(path, {"syn_mr": NETWORKS["syn_ct"]})
    damage(path)
    assert not holds_model(path, NETWORKS)
