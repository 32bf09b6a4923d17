"""Two processes that train together are one process that sees both their images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import make_configuration, make_settings, make_trainer

from synthct.training.checkpoint import load_checkpoint
from synthct.training.distributed import ALONE, Ranks
from synthct.training.sampling import PairedOrder, SliceKeys, UnpairedOrder

HERE = Path(__file__).parent


def torchrun(
    preprocessed: Path, fold_folder: Path, trainer: str, processes: int, **options
) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    arguments = [str(preprocessed), str(fold_folder), trainer, json.dumps(options)]
    paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [*command, str(HERE / "torchrun_training.py"), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


def checkpoint(fold_folder: Path) -> dict:
    return load_checkpoint(fold_folder / "checkpoint_final.pth")


@pytest.mark.parametrize("trainer", ["cyclegan", pytest.param("pix2pix", marks=pytest.mark.long)])
def test_two_processes_learn_what_one_learns_from_both_their_images(trainer, preprocessed_folder, tmp_path):
    # While the pools fill, each image is handed out as it comes, however many pools there are.
    common = {"epochs": 1, "iterations": 4, "settings": {"pool_size": 50}}
    two = torchrun(preprocessed_folder, tmp_path / "two", trainer, 2, **common)
    single = torchrun(preprocessed_folder, tmp_path / "one", trainer, 1, training={"batch_size": 2}, **common)
    assert two.returncode == single.returncode == 0, two.stderr + single.stderr
    together, alone = checkpoint(tmp_path / "two"), checkpoint(tmp_path / "one")
    assert together["world_size"] == 2
    start = make_trainer(trainer).state_dict()["networks"]
    for name, weights in alone["networks"].items():
        # Biases before an instance norm have no gradient but rounding errors, which Adam makes as large as any.
        for key in (key for key in weights if key.endswith("weight")):
            moved, apart = weights[key] - start[name][key], weights[key] - together["networks"][name][key]
            assert apart.norm() < 0.02 * moved.norm(), (name, key)


def test_all_ranks_end_with_the_same_weights_and_only_the_first_writes(preprocessed_folder, tmp_path):
    result = torchrun(preprocessed_folder, tmp_path / "fold", "cyclegan", 2, epochs=2, iterations=3)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "fold").iterdir()) == [
        "checkpoint_final.pth",
        "checkpoint_latest.pth",
        "split.json",
        "training_log.csv",
    ]
    log = (tmp_path / "fold" / "training_log.csv").read_text().splitlines()
    assert len(log) == 3
    assert result.stderr.count("epoch 1/2") == 1
    # Each rank's optimisers moved by the same averages: had the weights parted, the next run's would differ.
    state = checkpoint(tmp_path / "fold")
    assert len(state["other_ranks"]) == 1
    own, other = state["pools"]["ct"]["images"], state["other_ranks"][0]["pools"]["ct"]["images"]
    assert len(own) == len(other) == 3
    assert not torch.equal(own[0], other[0])


def test_a_rank_that_dies_ends_the_run_and_continue_goes_on(preprocessed_folder, tmp_path):
    whole = torchrun(preprocessed_folder, tmp_path / "whole", "cyclegan", 2, epochs=2, iterations=3)
    assert whole.returncode == 0, whole.stderr
    killed = torchrun(preprocessed_folder, tmp_path / "killed", "cyclegan", 2, epochs=2, iterations=3, dies_at=[1, 5])
    assert killed.returncode != 0
    assert "rank 0: Rank 0 lost the other processes of this training" in killed.stderr
    assert "--continue" in killed.stderr
    assert "SIGKILL" in killed.stderr  # torchrun says which rank ended and how
    assert not (tmp_path / "killed" / "checkpoint_final.pth").exists()
    again = torchrun(preprocessed_folder, tmp_path / "killed", "cyclegan", 2, resume=True)
    assert again.returncode == 0, again.stderr
    uninterrupted, other = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "killed")
    for name, weights in uninterrupted["networks"].items():
        assert all(torch.equal(weight, other["networks"][name][key]) for key, weight in weights.items())
    alone = torchrun(preprocessed_folder, tmp_path / "killed", "cyclegan", 1, resume=True, epochs=3)
    assert alone.returncode != 0
    assert "2 process(es) trained it together, not 1; start as many (torchrun --nproc_per_node=2)" in alone.stderr


def test_no_slice_is_drawn_twice_in_an_epoch_by_two_ranks():
    mr, ct = SliceKeys({"A": range(11)}), SliceKeys({"B": range(7)})
    for make in (lambda **of: UnpairedOrder(mr, ct, 3, **of), lambda **of: PairedOrder(mr, 3, **of)):
        orders = [make(rank=rank, world_size=2) for rank in range(2)]
        drawn = [order.draw(step)[0][0] for step in range(orders[0].steps_per_epoch) for order in orders]
        assert orders[0].steps_per_epoch == 6
        assert len(set(drawn[:11])) == 11  # the twelfth begins the next passage


def test_ranks_are_read_from_what_torchrun_sets():
    assert Ranks.from_environment({}) == ALONE
    assert Ranks.from_environment({"RANK": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}) == ALONE
    ranks = Ranks.from_environment({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
    assert (ranks.rank, ranks.world_size, ranks.local_rank, ranks.is_main_process) == (3, 4, 1, False)


def test_the_processes_draw_from_different_histories():
    from synthct.training.cyclegan import CycleGAN

    settings = make_settings("cyclegan")
    trainers = [CycleGAN(make_configuration(), settings, "cpu", ranks=Ranks(rank, 2)) for rank in range(2)]
    first, second = ([pool.generator.initial_seed() for pool in trainer.pools.values()] for trainer in trainers)
    assert not set(first) & set(second)
    for weight, other in zip(*(trainer.syn_ct.parameters() for trainer in trainers)):
        assert torch.equal(weight, other)


def test_every_round_of_pseudo_pairs_is_made_once_for_all_processes(preprocessed_folder, tmp_path):
    result = torchrun(preprocessed_folder, tmp_path / "fold", "unet_unpaired", 2, epochs=2, iterations=3)
    assert result.returncode == 0, result.stderr
    assert checkpoint(tmp_path / "fold")["step"] == 6
    assert not (tmp_path / "fold" / "pseudo_pairs").exists()
    stopped = torchrun(
        preprocessed_folder, tmp_path / "killed", "unet_unpaired", 2, epochs=2, iterations=3, dies_at=[1, 5]
    )
    assert stopped.returncode != 0
    again = torchrun(preprocessed_folder, tmp_path / "killed", "unet_unpaired", 2, resume=True)
    assert again.returncode == 0, again.stderr
    complete, other = (checkpoint(tmp_path / name)["networks"]["syn_ct"] for name in ("fold", "killed"))
    assert all(torch.equal(weight, other[key]) for key, weight in complete.items())
