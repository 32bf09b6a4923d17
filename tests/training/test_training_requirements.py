"""A GPU node may have torch, numpy and batchgenerators alone; and a training ends whatever ends it."""

from __future__ import annotations

import os
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
from tiny_training import TRAIN, VAL, make_configuration, make_plan, what_to_train
from synthct.training.loop import train
from synthct.training.what_to_train import TrainingOptions
plan = make_plan(make_configuration({values}))
def progress(iterable, **_):
    for one in iterable:
        print("step", flush=True)
        yield one
what = what_to_train("cyclegan", plan, Path({data!r}), Path({out!r}), {{"train": TRAIN, "val": VAL}})
print(train(what, TrainingOptions(loaders=1), progress=progress))
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


IMPORTED = """
import importlib, sys, types
# A stand-in: what batchgenerators itself imports does not matter here.
for name, content in {{
    "batchgenerators": (), "batchgenerators.augmentations": (), "batchgenerators.transforms": (),
    "batchgenerators.augmentations.utils": ("pad_nd_image",),
    "batchgenerators.transforms.crop_and_pad_transforms": ("RandomCropTransform",),
}}.items():
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    module.__dict__.update(dict.fromkeys(content))
sys.path.insert(0, {package!r})
for module in {modules!r}:
    importlib.import_module(module)
    print(*(f"{{module}} imports {{name}}" for name in {unwanted!r} if name in sys.modules), sep="", end="")
"""
UNWANTED = ("SimpleITK", "acvl_utils", "matplotlib", "pandas", "pydicom", "scipy", "skimage", "cc3d", "tensorboard")
LEAN_MODULES = [
    "synthct.networks",
    "synthct.training.losses",
    "synthct.training.trainer",
    "synthct.training.cyclegan",
    "synthct.training.pix2pix",
    "synthct.training.loader",
    "synthct.training.run",
    "synthct.training.tensorboard_log",
    "synthct.training.loop",
    "synthct.training.step_times",
    "synthct.training.train_fold",
    "synthct.preprocessing.slice_reader",
    "synthct.preprocessing.slice_stack",
    "synthct.preprocessing.network_input",
    "synthct.imaging.coding",
    "synthct.imaging.planes",
]


def test_what_a_training_imports_needs_neither_image_nor_table_libraries():
    package = str(Path(synthct.__file__).parents[1])
    script = IMPORTED.format(package=package, modules=LEAN_MODULES, unwanted=UNWANTED)
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == ""


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
