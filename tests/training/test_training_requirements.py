"""A GPU node may have torch, numpy and batchgenerators alone; and a training ends whatever ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import synthct

SCRIPT = """
import sys
for name in ("SimpleITK", "matplotlib", "acvl_utils", "tqdm", "pydicom"):
    sys.modules[name] = None
sys.path[:0] = [{tests!r}, {package!r}]
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
from pathlib import Path
import torch
torch.set_num_threads(1)
from tiny_training import TRAIN, VAL, make_configuration
from synthct.planning.plan import Plan
from synthct.training.loop import train
plan = Plan(1, "0", "D", "default", ("T1",), ".nii.gz", 4, {{"tiny": make_configuration({values})}})
def progress(iterable, **_):
    for one in iterable:
        print("step", flush=True)
        yield one
print(train("cyclegan", plan, "tiny", preprocessed_folder=Path({data!r}), fold_folder=Path({out!r}),
      split={{"train": TRAIN, "val": VAL}}, workers=1, progress=progress))
"""


def start(data: Path, out: Path, values: str) -> subprocess.Popen:
    script = SCRIPT.format(
        tests=str(Path(__file__).parent),
        package=str(Path(synthct.__file__).parents[1]),
        data=str(data),
        out=str(out),
        values=values,
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_trains_with_torch_numpy_and_batchgenerators_alone(preprocessed_folder, tmp_path):
    process = start(preprocessed_folder, tmp_path / "fold_0", "")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "matplotlib is not installed" in output
    assert (tmp_path / "fold_0" / "checkpoint_final.pth").exists()


def test_no_file_of_networks_or_training_imports_pandas():
    # It cannot be blocked above, because batchgenerators itself needs it.
    for room in ("networks", "training"):
        for file in (Path(synthct.__file__).parent / room).glob("*.py"):
            assert not re.search(r"^\s*(import|from) pandas", file.read_text(), re.MULTILINE), file


@pytest.mark.parametrize("asked_to_stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_of_the_whole_group_saves_and_leaves_no_process(preprocessed_folder, tmp_path, asked_to_stop):
    process = start(preprocessed_folder, tmp_path / "fold_0", "epochs_constant=1000")
    for line in process.stdout:
        if line == "step\n" and (tmp_path / "fold_0" / "training_log.csv").exists():
            break
    os.killpg(process.pid, asked_to_stop)  # what a terminal or a batch system does: the workers get it too
    output, _ = process.communicate(timeout=60)
    assert "Stopped after step" in output, output
    assert output.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode != 0
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("a process of the training is still there")
