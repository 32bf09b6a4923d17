"""Raw dataset -> integrity check, fingerprint, plan, splits, cached slices: what ``synthct_plan_and_preprocess`` does."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from synthct.dataset.integrity import check_dataset
from synthct.dataset.raw import RawDataset
from synthct.errors import PlanError
from synthct.files import read_json, write_text
from synthct.parallel import Progress, quiet
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.measure import measure_dataset, unchanged_cases
from synthct.planning.plan import Plan
from synthct.planning.planner import make_plan
from synthct.planning.splits import load_splits, make_splits, save_splits
from synthct.preprocessing.dataset import memory_per_worker, preprocess_dataset
from synthct.records import to_plain

logger = logging.getLogger("synthct")


def plan_and_preprocess(
    raw: RawDataset,
    folder: Path,
    *,
    planner: str = "default",
    configurations: Sequence[str] | None = None,
    workers: int = 1,
    clean: bool = False,
    verify_only: bool = False,
    progress: Progress = quiet,
) -> Plan | None:
    """Check, measure, plan and preprocess a dataset; what was done before and is unchanged is not done again.

    Args:
        raw: the dataset.
        folder: of the preprocessed dataset; made where it is missing.
        planner: ``default`` or ``wolterink2017``.
        configurations: those to preprocess; all of the plan by default.
        workers: processes.
        clean: throw away what an earlier run left, edits of ``plans.json`` and ``splits_final.json`` included.
        verify_only: stop after the integrity check and write nothing.
        progress: a display like ``tqdm``.

    Returns:
        The plan, or None with ``verify_only``.

    Raises:
        DatasetError, PlanError: in sentences that name file and remedy.
    """
    folder = Path(folder)
    if clean and folder.exists() and not verify_only:
        shutil.rmtree(folder)
    fingerprint_path, plan_path = folder / "dataset_fingerprint.json", folder / "plans.json"
    known = _load_known(fingerprint_path)
    checked = () if verify_only else unchanged_cases(raw, known)
    check_dataset(raw, checked=checked, workers=workers, progress=progress)
    n_patients = f"{len(raw.training)} training and {len(raw.test)} test patients"
    logger.info(f"{raw.name}: {n_patients}, no problem found.")
    if verify_only:
        return None
    fingerprint = measure_dataset(raw, known=known, workers=workers, progress=progress)
    plan = _settled_plan(planner, raw, known, fingerprint, plan_path)
    wanted = configurations or tuple(plan.configurations)
    for name in wanted:
        plan.configuration(name)  # an unknown name is told before anything is written
    write_text((raw.folder / "dataset.json").read_text(encoding="utf-8-sig"), folder / "dataset.json")
    fingerprint.save(fingerprint_path)
    plan.save(plan_path)
    _settle_splits(known, fingerprint, plan, folder / "splits_final.json")
    logger.info(
        f"Preprocessing takes up to {memory_per_worker(fingerprint) / 2**30:.1f} GiB for each of {workers} workers."
    )
    chosen = {name: plan.configurations[name] for name in wanted}
    written, unchanged = preprocess_dataset(raw, chosen, folder, workers=workers, progress=progress)
    logger.info(f"{', '.join(chosen)}: {written} cached cases written, {unchanged} unchanged, in {folder}")
    return plan


def _load_known(path: Path) -> Fingerprint | None:
    """The fingerprint of an earlier run, or None where there is none that this version understands."""
    try:
        return Fingerprint.load(path) if path.is_file() else None
    except PlanError as fault:
        logger.warning(f"{fault} It is measured anew.")
        return None


def _settled_plan(planner: str, raw: RawDataset, known: Fingerprint | None, now: Fingerprint, path: Path) -> Plan:
    """A new plan, unless somebody has edited the one that is there: edits are kept."""
    fresh = make_plan(planner, raw, now)
    if not path.is_file():
        return fresh
    present = Plan.load(path)
    if present.planner != planner or present == fresh or (known and present == make_plan(planner, raw, known)):
        return fresh
    logger.warning(f"{path} has been edited and is kept as it is; --clean plans anew.")
    return present


def _settle_splits(known: Fingerprint | None, now: Fingerprint, plan: Plan, path: Path) -> None:
    """New splits, unless somebody has edited those that are there: edits are kept, and checked."""
    present = read_json(path, PlanError) if path.is_file() else None
    untouched = known is not None and present == to_plain(make_splits(known, plan.n_folds))
    if present is not None and not untouched:
        load_splits(path, now.cases)
        logger.info(f"{path} was there already and is kept as it is.")
    else:
        save_splits(make_splits(now, plan.n_folds), path)
