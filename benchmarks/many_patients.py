"""Time and memory of what is done to all patients before the first training step, for a tenth of them and for all.

    python -m benchmarks.many_patients                     10,000 simulated patients (2 minutes, 0.2 GB of disk)
    python -m benchmarks.many_patients --patients 1000

The patients are links to the files of a few, with records and keys of their own; each measurement is a new process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.rounds import peak_memory_so_far_gib
from synthct.dataset.images import CaseImages
from synthct.dataset.raw import RawDataset
from synthct.files import write_json
from synthct.phantom import make_phantom_patient
from synthct.planning.configurations import reference_configuration
from synthct.planning.fingerprint import FORMAT_VERSION, HEAD_PERCENTILES, CaseFacts, Fingerprint, VolumeFacts
from synthct.planning.method_settings import coding_of
from synthct.planning.planner import make_plan
from synthct.planning.splits import load_splits, make_splits, save_splits
from synthct.preprocessing.cache import CACHE_VERSION, cache_folder, cache_key, cached_path
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.case_report import ShownWindows, picture_path, report_entry
from synthct.preprocessing.findings import Findings, save_findings
from synthct.preprocessing.plan_and_preprocess import PlanningOptions, plan_and_preprocess
from synthct.preprocessing.slice_stack import HEAD, SliceStack

CONFIGURATION = "2d"
DISTINCT = 4  # patients who are made; the slices of the others link to theirs
VOXEL_SCALE = 2.0  # of their images
SIMULATED = "Dataset001_Many"


def make_originals(folder: Path) -> None:
    """The slices of a few patients, and an image file for all that may be listed but not read: it holds none."""
    settings = reference_configuration(1).preprocessing
    for number in range(DISTINCT):
        patient = make_phantom_patient(number, voxel_scale=VOXEL_SCALE)
        images = CaseImages(str(number), (patient.mr,), patient.ct)
        slices_of_case(images, settings).save(folder / f"{number}.npz")
    (folder / "image").write_text("no image")


def simulate(folder: Path, originals: Path, n_patients: int) -> None:
    """A raw dataset, all that its preprocessing left (of which the keys matter), and the slices of a training."""
    raw_folder, preprocessed = folder / "raw" / SIMULATED, folder / "preprocessed"
    write_json({"channel_names": {"0": "T1"}, "file_ending": ".nii.gz"}, raw_folder / "dataset.json")
    names = [f"P{number:05d}" for number in range(n_patients)]
    for place in (raw_folder / "imagesTr", raw_folder / "targetsTr", folder / "slices"):
        place.mkdir()
    for number, name in enumerate(names):
        os.link(originals / "image", raw_folder / "imagesTr" / f"{name}_0000.nii.gz")
        os.link(originals / "image", raw_folder / "targetsTr" / f"{name}.nii.gz")
        os.link(originals / f"{number % DISTINCT}.npz", folder / "slices" / f"{name}.npz")
    raw = RawDataset.open(raw_folder)
    percentiles = dict(zip(map("{:g}".format, HEAD_PERCENTILES), (-900.0, 0.0, 500.0, 2000.0, 3400.0)))
    volume = VolumeFacts(
        (183, 288, 288), (1.0, 0.87, 0.87), "LPS", 0.0, 0.0, 4000.0, 4.2, (160.0, 200.0, 240.0), 600.0, percentiles
    )
    cases = {name: CaseFacts((volume,), volume, case.key()) for name, case in raw.training.items()}
    fingerprint = Fingerprint(FORMAT_VERSION, "benchmark", raw.name, cases)
    plan = make_plan("wolterink2017", raw, fingerprint)
    fingerprint.save(preprocessed / "dataset_fingerprint.json")
    plan.save(preprocessed / "plans.json")
    save_splits(make_splits(fingerprint, plan.n_folds), preprocessed / "splits_final.json")
    settings = plan.configuration(CONFIGURATION).preprocessing
    cache, pixel = cache_folder(preprocessed, settings), np.full((1, 1, 1), HEAD, np.uint8)
    for name, case in raw.training.items():
        info = {"made_from": cache_key(case, settings)}
        SliceStack(name, None, pixel.astype(np.int16), pixel, info=info).save(cached_path(cache, name))
    coding = coding_of(plan.configuration(CONFIGURATION), "plans.json")
    windows = ShownWindows(coding.expected_mr(1), coding.hu_range)
    for name, case in raw.training.items():
        entry = report_entry(preprocessed, case, windows, CACHE_VERSION)
        findings = Findings(name, (), {"MR size": 1.0, "CT size": 1.0, "Paired": "yes"})
        save_findings(findings, entry.findings_path, entry.key)
        os.link(originals / "image", picture_path(preprocessed, name))


def nothing(_: Path) -> None:
    """What Python and the libraries take."""
    import synthct.training.loop  # noqa: F401


def listing(folder: Path) -> None:
    """The raw dataset's files."""
    RawDataset.open(folder / "raw" / SIMULATED)


def planning(folder: Path) -> None:
    """Fingerprint, plan by the rules, splits."""
    raw = RawDataset.open(folder / "raw" / SIMULATED)
    fingerprint = Fingerprint.load(folder / "preprocessed" / "dataset_fingerprint.json")
    plan = make_plan("default", raw, fingerprint)
    make_splits(fingerprint, plan.n_folds)
    load_splits(folder / "preprocessed" / "splits_final.json", fingerprint.cases)


def resuming(folder: Path) -> None:
    """A second preprocessing, with nothing left to do."""
    raw = RawDataset.open(folder / "raw" / SIMULATED)
    plan_and_preprocess(raw, folder / "preprocessed", PlanningOptions(configurations=(CONFIGURATION,)))


def starting(folder: Path) -> None:
    """What a training does up to its first batch, networks aside, with two processes that load."""
    from synthct.planning.plan import Plan
    from synthct.preprocessing.network_input import NetworkInput
    from synthct.training.loader import SliceDataset, batches
    from synthct.training.sampling import UnpairedOrder
    from synthct.training.slices import SlicesToDraw, TrainingSlices
    from synthct.training.validation import Validation

    preprocessed = folder / "preprocessed"
    plan = Plan.load(preprocessed / "plans.json")
    patients = Fingerprint.load(preprocessed / "dataset_fingerprint.json").cases
    split = load_splits(preprocessed / "splits_final.json", patients)[0]
    configuration = plan.configuration(CONFIGURATION)
    network_input = NetworkInput(configuration.input, coding_of(configuration, "plans.json"))
    wanted = SlicesToDraw(paired=False, min_head_fraction=0.01)
    slices = TrainingSlices(folder / "slices", split.train, configuration.input, wanted)
    Validation.read(folder / "slices", split.val, split.train, network_input)
    order = UnpairedOrder(slices.mr, slices.ct, 0)
    with batches(SliceDataset(slices, order, network_input, configuration.training), 2) as drawn:
        next(drawn)


ACTIONS: dict[str, Callable[[Path], None]] = {
    "nothing": nothing,
    "list": listing,
    "plan": planning,
    "resume preprocessing": resuming,
    "start a training": starting,
}


def measure(folder: Path, action: str) -> dict[str, float]:
    """Seconds and peak memory (GiB) of an action in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.many_patients", "--folder", str(folder), "--action", action]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="with --action: a simulated dataset")
    parser.add_argument("--action", choices=list(ACTIONS), help="measure this alone")
    arguments = parser.parse_args()
    if arguments.action:
        nothing(arguments.folder)
        started = time.perf_counter()
        ACTIONS[arguments.action](arguments.folder)
        print(json.dumps({"seconds": time.perf_counter() - started, "gib": peak_memory_so_far_gib()}))
        return
    numbers = (arguments.patients // 10, arguments.patients)
    with tempfile.TemporaryDirectory() as temporary:
        make_originals(Path(temporary))
        for number in numbers:
            simulate(Path(temporary) / str(number), Path(temporary), number)
        print("| " + " | ".join(["work", *(f"{number:,} patients" for number in numbers)]) + " |\n|---|---|---|")
        for action in ACTIONS:
            measured = [measure(Path(temporary) / str(number), action) for number in numbers]
            print(f"| {action} | " + " | ".join(f"{m['seconds']:.2f} s, {m['gib']:.2f} GiB" for m in measured) + " |")


if __name__ == "__main__":
    main()
