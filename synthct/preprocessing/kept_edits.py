"""What of an earlier run is kept: plans and splits that users have edited; the rest is planned anew."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from synthct.dataset.raw import RawDataset
from synthct.errors import PlanError
from synthct.files import read_json
from synthct.json_dataclasses import to_plain
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import FORMAT_VERSION, Plan
from synthct.planning.planner import make_plan
from synthct.planning.splits import Split, load_splits, make_splits

logger = logging.getLogger("synthct")


def text_of_earlier_version(path: Path) -> str | None:
    """The text of a plan that an earlier version of synthct wrote; None of one of this version."""
    content = read_json(path, PlanError)
    is_earlier = isinstance(content, dict) and content.get("format_version") != FORMAT_VERSION
    return path.read_text(encoding="utf-8-sig") if is_earlier else None


def settled_plan(fresh: Plan, present: Plan, raw: RawDataset, known: Fingerprint | None, path: Path) -> Plan:
    """The fresh plan, unless somebody has edited the one that is there: edits are kept while its planner is."""
    if _say_the_same(present, fresh):
        return fresh
    if known is not None and _is_as_planned(present, raw, known):
        return fresh
    if present.planner != fresh.planner:
        logger.warning(f"{path} had been edited; the planner {fresh.planner} replaces it.")
        return fresh
    if present.channel_names != raw.channel_names:
        raise PlanError(
            f"{path} has been edited and plans for the MR channels {', '.join(present.channel_names)}, but "
            f"dataset.json names {', '.join(raw.channel_names)}; correct the plan, or use --clean to plan anew."
        )
    logger.warning(f"{path} has been edited and is kept as it is; --clean plans anew.")
    return present


def _is_as_planned(plan: Plan, raw: RawDataset, known: Fingerprint) -> bool:
    """Whether a plan is still what its planner made of the fingerprint and the ``dataset.json`` of then."""
    if any(case.mr and len(case.mr) != len(plan.channel_names) for case in known.cases.values()):
        return False
    then = replace(raw, channel_names=plan.channel_names, file_ending=plan.file_ending)
    as_planned = replace(make_plan(plan.planner, then, known), register=plan.register)
    return _say_the_same(plan, as_planned)


def _say_the_same(present: Plan, planned: Plan) -> bool:
    """Whether a plan that is there decides nothing else than what was planned.

    No edit is an update of synthct, with its wording of reasons, nor a package with further trainers or configurations
    that was installed since, or further trainers that are gone, or another recommendation; a configuration that nothing
    plans is one.
    """

    def comparable(plan: Plan, beside: Plan) -> Plan:
        configurations = {}
        for name in present.configurations:
            both = plan.configurations[name].methods.keys() & beside.configurations[name].methods.keys()
            kept = {trainer: plan.configurations[name].methods[trainer] for trainer in both}
            configurations[name] = replace(plan.configurations[name], methods=kept)
        return replace(plan, synthct_version="", recommended_trainer=None, reasons={}, configurations=configurations)

    known = present.configurations.keys() <= planned.configurations.keys()
    return known and comparable(present, planned) == comparable(planned, present)


def new_splits(known: Fingerprint | None, now: Fingerprint, plan: Plan, path: Path) -> tuple[Split, ...] | None:
    """The splits to write; None where somebody has edited those that are there: edits are checked, and kept."""
    if not path.is_file():
        return make_splits(now, plan.n_folds)
    present = read_json(path, PlanError)
    # As many folds as there were then: n_folds may have been edited since.
    if known and present and isinstance(present, list) and present == to_plain(make_splits(known, len(present))):
        return make_splits(now, plan.n_folds)
    load_splits(path, now.cases)
    logger.info(f"{path} was there already and is kept as it is.")
    return None
