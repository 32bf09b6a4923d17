"""The JSON files that users edit: dataset.json, plans, fingerprints, splits and registrations."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["synthct", "json"]):
    from synthct.dataset.raw import RawDataset
    from synthct.dataset.registration_record import RegistrationRecord
    from synthct.json_dataclasses import to_plain
    from synthct.planning.fingerprint import Fingerprint
    from synthct.planning.plan import Plan
    from synthct.planning.planner import make_plan
    from synthct.planning.splits import load_splits, make_splits
    from synthct.qa.qa_report import read_status

from fuzzing.harness import fuzz, refused

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from synthetic_datasets import case_facts, fingerprint, small_plan, volume_facts

ODD = (None, True, -1, 0, 1, 10**9, 2**63, 10**30, 1e-300, 1e300, 0.5, "", "..", "a/b", "\n", "LPS", [], {}, [[]], "é")
KINDS = ("dataset.json", "plans.json", "dataset_fingerprint.json", "splits_final.json", "P1.json", "qa.json")


def seeds() -> dict[str, bytes]:
    """A valid file of each kind, after a byte that says which kind it is."""
    facts = fingerprint({"P1": case_facts(volume_facts(), volume_facts()), "P2": case_facts(ct=volume_facts())})
    transform = {"matrix": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], "offset_mm": [1.0, 2.0, 3.0]}
    registration = {**transform, "status": "registered", "alignment": None, "problems_found": ["o"]}
    contents = (
        {"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz"},
        to_plain(small_plan(2)),
        to_plain(facts),
        [{"train": ["A", "B"], "val": ["C"]}],
        {"format_version": 1, "mode": "auto", "files_key": "k", "registration": registration},
        {"status": "check", "reasons": ["a"]},
    )
    return {f"{number}": bytes([number]) + json.dumps(content).encode() for number, content in enumerate(contents)}


def test_one(data: bytes, folder: Path) -> None:
    """Read a file; what was read must survive being written, and be fit to plan from."""
    if not data:
        return
    kind = KINDS[data[0] % len(KINDS)]
    path = folder / kind
    path.write_bytes(data[1:])
    if kind == "dataset.json":
        refused(lambda: RawDataset.open(folder), str(path))
    elif kind == "plans.json" and not refused(lambda: Plan.load(path), str(path)):
        plan = Plan.load(path)
        plan.save(path)
        assert Plan.load(path) == plan
    elif kind == "dataset_fingerprint.json" and not refused(lambda: Fingerprint.load(path), str(path)):
        facts = Fingerprint.load(path)
        facts.save(path)
        assert Fingerprint.load(path) == facts
        has_mr = any(case.mr for case in facts.cases.values())
        if has_mr and any(case.ct is not None for case in facts.cases.values()):
            raw = RawDataset(folder / "Dataset001_F", ("T1",), ".nii.gz", {}, {}, ())
            make_splits(facts, make_plan("default", raw, facts).n_folds)
    elif kind == "splits_final.json" and not refused(lambda: load_splits(path, "ABC"), str(path)):
        for split in load_splits(path, "ABC"):
            assert split.train and {*split.train, *split.val} <= set("ABC") and not set(split.train) & set(split.val)
    elif kind == "P1.json" and not refused(lambda: RegistrationRecord.load(path), str(path)):
        registration = RegistrationRecord.load(path).registration
        assert registration.moves_as(registration.mr_to_ct())
    elif kind == "qa.json":
        refused(lambda: read_status(path), str(path))


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Mostly an odd value at some key, else bytes changed as libFuzzer does."""
    chance = random.Random(seed)
    try:
        content = json.loads(data[1:])
    except ValueError:
        content = None
    if content is None or chance.random() < 0.3:
        return atheris.Mutate(data, longest)
    return (data[:1] + json.dumps(_edited(content, chance)).encode())[:longest]


def _edited(value: Any, chance: random.Random) -> Any:
    """The value with one place in it changed."""
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.15:
        return chance.choice((*ODD, chance.uniform(-100, 100), chance.randint(-10, 3000)))
    key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    changed = dict(value) if isinstance(value, dict) else list(value)
    if chance.random() < 0.1:
        del changed[key]
    elif chance.random() < 0.1 and isinstance(changed, dict):
        changed[chance.choice(("", "x", "a/b", "\n", "P3"))] = changed[key]
    else:
        changed[key] = _edited(changed[key], chance)
    return changed


if __name__ == "__main__":
    fuzz("json_files", seeds(), test_one, mutate)
