"""Raw dataset -> check, fingerprint, plan, splits, cached slices, report: what ``synthct_plan_and_preprocess`` does."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from synthct.counted import counted
from synthct.dataset.integrity import check_dataset
from synthct.dataset.pairs import pair_warnings, report_pairs
from synthct.dataset.raw import RawDataset
from synthct.dataset.register_dataset import register_dataset, with_registrations
from synthct.dataset.registration_record import REGISTRATIONS, RegisterMode
from synthct.errors import PlanError
from synthct.files import write_text
from synthct.parallel import IN_THIS_PROCESS, CaseRunner, available_memory, left_out_sentences
from synthct.planning.configurations import FULL_SIZE
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.measure_dataset import measure_dataset, unchanged_cases
from synthct.planning.method_settings import check_settings
from synthct.planning.plan import Plan, check_configuration
from synthct.planning.planner import make_plan
from synthct.planning.splits import Split, make_splits, save_splits
from synthct.plugins import CONFIGURATIONS
from synthct.preprocessing.cache import CACHE_PREFIX, cache_folder, remove_earlier_caches
from synthct.preprocessing.case_report import load_all_findings
from synthct.preprocessing.findings import hints_of_dataset, no_pair_left
from synthct.preprocessing.kept_edits import new_splits, settled_plan, text_of_earlier_version
from synthct.preprocessing.preprocess_dataset import memory_per_worker, preprocess_dataset
from synthct.preprocessing.preprocessing_report import write_report
from synthct.preprocessing.refined_pairs import load_facts, refinements_in_words

logger = logging.getLogger("synthct")
EARLIER_PLAN = "plans_of_earlier_version.json"
MAX_WARNINGS = 10  # of flagged cases; the report has them all


@dataclass(frozen=True)
class PlanningOptions:
    """What a user may wish of planning and preprocessing.

    Attributes:
        planner: ``default`` or ``wolterink2017``; None takes that of the plan that is there, else ``default``.
        register: whether CTs are registered to MRs: ``off``, ``auto`` (those that are not aligned), ``always``, or
            ``refine``: as ``auto``, and methods that need pairs are trained on CTs that are refined locally. None takes
            that of the plan that is there, else ``off``.
        configurations: those to preprocess; all of the plan by default.
        clean: throw away what an earlier run left, edits of ``plans.json`` and ``splits_final.json`` included.
        verify_only: stop after the integrity check and write nothing.
    """

    planner: str | None = None
    register: RegisterMode | None = None
    configurations: Sequence[str] | None = None
    clean: bool = False
    verify_only: bool = False


DEFAULT_OPTIONS = PlanningOptions()


def plan_and_preprocess(
    raw: RawDataset,
    folder: Path,
    options: PlanningOptions = DEFAULT_OPTIONS,
    *,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> Plan | None:
    """Check, measure, plan and preprocess a dataset; what was done before and is unchanged is not done again.

    Args:
        raw: the dataset.
        folder: of the preprocessed dataset; made where it is missing.
        options: what the user wishes.
        runner: how the patients are worked through, by fewer processes where the free memory does not hold all; bad
            are those who cannot be used, and the others are planned and preprocessed as if these were not there.

    Returns:
        The plan, or None with ``verify_only``.

    Raises:
        DatasetError, PlanError: in sentences that name file and remedy.
    """
    folder = Path(folder)
    fingerprint_path, plan_path = folder / "dataset_fingerprint.json", folder / "plans.json"
    known = None if options.clean else _load_known(fingerprint_path)
    present = Plan.load(plan_path) if plan_path.is_file() and not options.clean else None
    earlier_text = text_of_earlier_version(plan_path) if present else None
    planner = options.planner or (present.planner if present else "default")
    register = options.register or (present.register if present else "off")
    if earlier_text is not None:
        present = None  # planned anew
    if present is not None:
        check_settings(present, str(plan_path))
    for name in options.configurations or ():  # before any work is done, or thrown away
        there = present.configurations if present else (FULL_SIZE, *CONFIGURATIONS.names())
        check_configuration(name, there, raw.name)
    if not options.clean:
        raw = with_registrations(raw, folder / REGISTRATIONS, register)
    checked = {} if options.verify_only else unchanged_cases(raw, known)
    check_dataset(raw, checked=checked, may_lie_apart=register != "off", runner=runner)
    raw = raw.without(runner.left_out)
    runner.check_any_left(raw.training)
    n_patients = f"{len(raw.training)} training and {counted(len(raw.test), 'test patient')}"
    but = ", but MRs and CTs do not make pairs, see below" if pair_warnings(raw) else ""
    logger.info(f"{raw.name}: {n_patients}, no problem found{' in the files' * bool(but)}{but}.")
    report_pairs(raw)
    if options.verify_only:
        return None
    if options.clean and (folder / REGISTRATIONS).exists():
        shutil.rmtree(folder / REGISTRATIONS)
    raw = register_dataset(raw, folder / REGISTRATIONS, register, runner=runner)
    _report_registrations(raw, folder / REGISTRATIONS)
    fingerprint = measure_dataset(raw, unchanged=unchanged_cases(raw, known), runner=runner)
    raw = raw.without(runner.left_out)
    runner.check_any_left(raw.training)
    plan = make_plan(planner, raw, fingerprint)
    plan = replace(plan, register=register)
    if present is not None:
        present = replace(present, register=register)  # asked for anew, which is not an edit
        plan = settled_plan(plan, present, raw, known, plan_path)
    wanted = options.configurations or tuple(plan.configurations)
    for name in wanted:
        plan.configuration(name)  # of an edited plan that is replaced
    splits_path = folder / "splits_final.json"
    splits: tuple[Split, ...] | None
    if options.clean:
        splits = make_splits(fingerprint, plan.n_folds)
    else:
        splits = new_splits(known, fingerprint, plan, splits_path)
    if options.clean and folder.exists():
        _remove_all_but(folder, REGISTRATIONS)
    write_text((raw.folder / "dataset.json").read_text(encoding="utf-8-sig"), folder / "dataset.json")
    fingerprint.save(fingerprint_path)
    if earlier_text is not None:
        write_text(earlier_text, folder / EARLIER_PLAN)
        logger.warning(
            f"{plan_path} was of an earlier version: it is planned anew, and kept as {EARLIER_PLAN}; edits of it "
            "are not taken over."
        )
    plan.save(plan_path)
    _remove_unused_caches(folder, plan)
    if splits is not None:
        save_splits(splits, splits_path)
    bytes_each = memory_per_worker(fingerprint)
    if runner.executor is None:
        fitting = runner.with_workers(_workers_that_fit(runner.workers, bytes_each))
    else:
        fitting = runner
        logger.info(f"Preprocessing on the cluster; a case takes up to {bytes_each / 2**30:.1f} GiB of memory.")
    chosen = {name: plan.configurations[name] for name in wanted}
    written, unchanged = preprocess_dataset(raw, chosen, folder, refine=register == "refine", runner=fitting)
    if not raw.training.keys().isdisjoint(runner.left_out):  # fingerprint, plan and splits must not name them either
        rest = raw.without(runner.left_out)
        runner.check_any_left(rest.training)
        return plan_and_preprocess(rest, folder, replace(options, register=register, clean=False), runner=runner)
    logger.info(f"{', '.join(chosen)}: {written} cached cases written, {unchanged} unchanged, in {folder}")
    first = next(iter(chosen.values())).preprocessing
    refined = refinements_in_words(load_facts(cache_folder(folder, first), raw.training))
    for sentence in refined:
        logger.info(sentence)
    _report(raw, fingerprint, first.spacing_mm, folder, runner.left_out, refined)
    return plan


def _report(
    raw: RawDataset,
    fingerprint: Fingerprint,
    spacing_mm: tuple[float, float, float],
    folder: Path,
    left_out: Mapping[str, str],
    refined: Sequence[str],
) -> None:
    """Write the page that shows every case, and warn of the flagged ones."""
    findings = load_all_findings(folder, raw.training)
    hints = [*left_out_sentences(left_out), *hints_of_dataset(fingerprint), *refined]
    path = write_report(folder, raw.name, findings, spacing_mm=spacing_mm, hints=hints)
    flagged = [case for case in findings.values() if case.flags]
    unreported = [
        case for case in flagged if raw.training[case.patient].aligned
    ]  # failed registrations have been reported
    for case in unreported[:MAX_WARNINGS]:
        logger.warning(f"{case.patient}: {' '.join(case.flags)}")
    if len(unreported) > MAX_WARNINGS:
        logger.warning(f"and {len(unreported) - MAX_WARNINGS} more flagged cases, see the report.")
    logger.info(f"Pictures of all {len(findings)} cases, {len(flagged)} of them flagged, are in {path}")
    if raw.failed_registrations and not any(case.paired for case in raw.training.values()):
        logger.warning(no_pair_left(len(raw.failed_registrations)))


def _report_registrations(raw: RawDataset, folder: Path) -> None:
    """How many were registered, and who is not a pair because the registration failed."""
    cases = [*raw.training.values(), *raw.test.values()]
    counts = Counter(case.registration.status for case in cases if case.registration is not None)
    if counts:
        counted_statuses = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        logger.info(f"Registration of CT to MR: {counted_statuses}; transforms and figures are in {folder}")
    failed = [(case.patient, case.registration) for case in cases if case.registration and not case.aligned]
    for patient, registration in failed:
        logger.warning(
            f"{patient}: the registration of CT to MR failed ({'; '.join(registration.problems_found)}); the "
            "patient's scans are used, but not as a pair."
        )
    if failed:
        logger.info(f"A right transform, put into {folder / failed[0][0]}.tfm, takes the place of a failed one.")


def _remove_unused_caches(folder: Path, plan: Plan) -> None:
    """Remove cached slices of an earlier version, and those that no configuration of the plan uses any more."""
    for removed in remove_earlier_caches(folder, plan.configurations):
        logger.info(f"The cached slices in {removed} are of an earlier version; they are removed and made anew.")
    used = {cache_folder(folder, configuration.preprocessing) for configuration in plan.configurations.values()}
    for cache in folder.glob(f"{CACHE_PREFIX}*"):
        if cache.is_dir() and cache not in used:
            shutil.rmtree(cache)


def _remove_all_but(folder: Path, kept: str) -> None:
    for path in folder.iterdir():
        if path.name != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _workers_that_fit(wanted: int, bytes_each: int) -> int:
    """At most as many workers as the memory that is free holds, and at least one; says what each may take."""
    free = available_memory()
    fitting = wanted if free is None else max(1, min(wanted, free // bytes_each))
    fewer = ""
    if free is not None and fitting < wanted:
        fewer = f" ({wanted} would need more than the {free / 2**30:.1f} GiB that are free)"
    logger.info(f"Preprocessing with {fitting} workers, each with up to {bytes_each / 2**30:.1f} GiB of memory{fewer}.")
    return fitting


def _load_known(path: Path) -> Fingerprint | None:
    """The fingerprint of an earlier run, or None where there is none that this version understands."""
    try:
        return Fingerprint.load(path) if path.is_file() else None
    except PlanError as fault:
        logger.warning(f"{fault} It is measured anew.")
        return None
