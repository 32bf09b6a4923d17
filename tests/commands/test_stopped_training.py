"""``synthct_train`` as a process of its own: stopped by SIGTERM and by Ctrl-C, it goes on with not a step lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from same_training import LATEST, assert_same_training
from synthetic_datasets import PAIRED, make_network_tiny, write_dataset

import synthct
from synthct.commands import plan_and_preprocess
from synthct.training.checkpoint import load_checkpoint

MODEL = Path("synthct_results") / "Dataset001_Heads" / "pix2pix__plans__2d_lowres"
PATIENCE_SECONDS = 120


@pytest.fixture
def preprocessed(checkout) -> Path:
    """The current directory, with a preprocessed dataset and a plan for a tiny network."""
    write_dataset(checkout / "synthct_raw" / "Dataset001_Heads", {"P1": PAIRED, "P2": PAIRED})
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1"]) == 0
    make_network_tiny(checkout / "synthct_preprocessed" / "Dataset001_Heads" / "plans.json")
    return checkout


def start(*options: str) -> subprocess.Popen:
    """Train on all patients, so that none is predicted afterwards; in a session, and so a process group, of its own."""
    arguments = ["1", "pix2pix", "all", "-c", "2d_lowres", "-device", "cpu", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(synthct.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "synthct.commands.train", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )


def wait_for_step(process: subprocess.Popen, step: int) -> None:
    """Until the latest checkpoint, which can be read at any time, is of this step or a later one."""
    path, end = MODEL / "fold_all" / LATEST, time.monotonic() + PATIENCE_SECONDS
    while not path.exists() or load_checkpoint(path)["step"] < step:
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.01)


def assert_no_process_is_left(group: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a process of the training is still there")


def test_a_training_stopped_by_sigterm_and_then_by_ctrl_c_goes_on_to_the_same_weights(preprocessed):
    length, often = ["--epochs", "2", "--iterations", "20"], ["--checkpoint_minutes", "0.0001"]
    process = start(*length)
    reported, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, reported
    MODEL.rename(MODEL.with_name("whole"))

    resumed: list[str] = []
    before = 0
    for number, step in ((signal.SIGTERM, 3), (signal.SIGINT, 24)):
        process = start(*length, *often, *resumed)
        wait_for_step(process, step)
        process.send_signal(number)
        reported, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert_no_process_is_left(process.pid)
        reached = load_checkpoint(MODEL / "fold_all" / LATEST)["step"]
        assert process.returncode == 130, reported
        assert f"step {reached};" in reported and "--continue" in reported and "Traceback" not in reported
        if resumed:
            assert int(re.search(r"continuing after epoch \d+, step (\d+)", reported)[1]) == before
        before, resumed = reached, ["--continue"]

    process = start("--continue")
    reported, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, reported
    assert_same_training(MODEL / "fold_all", MODEL.with_name("whole") / "fold_all")
