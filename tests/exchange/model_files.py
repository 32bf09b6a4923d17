"""Small evaluated models, and model files with what no export would write."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synthetic_datasets import case_facts, small_plan, volume_facts
from synthetic_heads import head_mr, make_grid
from tiny_models import Networks, tiny_networks, write_checkpoint

from synthct.json_dataclasses import to_plain
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Plan
from synthct.qa.qa_reference import PatientRecord, Reference

DATASET = "Dataset001_Heads"
SPLITS = {"0": {"train": ["P1", "P2"], "val": ["P3"]}, "1": {"train": ["P2", "P3"], "val": ["P1"]}}
MODEL = Path(DATASET) / "cyclegan__plans__small"


class Payload:
    """What a pickle would execute: it makes a file in the current folder."""

    def __reduce__(self):
        return open, ("executed", "w")


def write_trained_model(
    results: Path,
    *,
    trainer: str = "cyclegan",
    plan: Plan | None = None,
    networks: Callable[[Plan, int, str], Networks] = tiny_networks,
    evaluated: bool = True,
) -> Path:
    """A model folder of two folds, with fingerprint, reference and, beside it, an evaluation of a cyclegan."""
    folder = results / DATASET / f"{trainer}__plans__small"
    plan = plan or small_plan()
    plan.save(folder / "plans.json")
    description = {"name": "Heads of X", "channel_names": {"0": "T1"}, "file_ending": ".nii.gz", "contact": "P1"}
    (folder / "dataset.json").write_text(json.dumps(description))
    cases = {patient: case_facts(volume_facts(), volume_facts()) for patient in ("P1", "P2", "P3")}
    cases["P4"] = case_facts(volume_facts(orientation="PIR", spacing_mm_xyz=(0.9, 0.8, 2.0)))
    Fingerprint(1, "0", DATASET, cases).save(folder / "dataset_fingerprint.json")
    Reference(patients={"P4": PatientRecord(None, None, None, None)}).save(folder)
    for seed, (fold, split) in enumerate(SPLITS.items()):
        how = {"trainer": trainer, "training": to_plain(plan.configurations["small"].training), "disjoint": False}
        states = networks(plan, seed, trainer)
        write_checkpoint(folder / f"fold_{fold}", states, split=split, rng={}, epoch_so_far={}, **how)
        (folder / f"fold_{fold}" / "split.json").write_text(json.dumps(split))
        validation = folder / f"fold_{fold}" / "validation"
        validation.mkdir()
        (validation / f"{split['val'][0]}.nii.gz").touch()  # the evaluation counts it as predicted
    if evaluated:
        write_evaluation(results)
    return folder


def write_evaluation(results: Path, age_s: float = 0.0) -> None:
    """Tables as ``synthct_evaluate`` leaves them."""
    evaluation = results / DATASET / "evaluation"
    evaluation.mkdir(exist_ok=True)
    rows = [
        {"patient": "P3", "fold": 0, "mae_hu": 90.0, "psnr_db": 28.0, "mask": "ct_and_mr"},
        {"patient": "P1", "fold": 1, "mae_hu": 70.0, "psnr_db": "inf", "mask": "ct_and_mr"},
        {"patient": "P2", "fold": 7, "mae_hu": 1.0, "psnr_db": 99.0, "mask": "ct_and_mr"},  # of a fold that is no more
    ]
    summary = [{"model": "median_ct", "set": "cross_validation", "n": 2, "mae_hu_mean": 163.0}]
    tables = {"metrics_cyclegan": rows, "summary": summary, "columns": [{"column": "mae_hu", "unit": "HU"}]}
    for name, table in tables.items():
        path = evaluation / f"{name}.json"
        path.write_text(json.dumps(table))
        newest = max(file.stat().st_mtime for file in results.rglob("*.pth"))
        os.utime(path, (newest - age_s, newest - age_s))


def head():
    """An MR that the small model can predict."""
    return head_mr(make_grid((34, 42, 42), (6.0, 6.0, 6.0)))


def read_members(path: Path) -> dict[str, bytes]:
    """Members of a zip file by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_manifest(members: Mapping[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The members with a manifest that lists them as they are, so that nothing but their content can be refused."""
    others = {name: data for name, data in members.items() if name != "manifest.json"}
    listed = {n: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for n, data in others.items()}
    manifest = json.loads(members["manifest.json"]) | {"files": listed} | changes
    return {"manifest.json": json.dumps(manifest).encode(), **others}


def pack(path: Path, members: Mapping[str, bytes], infos: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """A zip file of these members; ``infos`` changes fields of their entries."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            for field, value in (infos or {}).get(name, {}).items():
                setattr(info, field, value)
            archive.writestr(info, data)
    return path


def changed_json(members: Mapping[str, bytes], member: str, **changes: Any) -> dict[str, bytes]:
    """The members with other values in one of them, and a manifest to match."""
    return with_manifest({**members, member: json.dumps(json.loads(members[member]) | changes).encode()})
