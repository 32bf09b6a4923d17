"""The head's shape: how it lies, and what is doubtful in its mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthct.evenly import evenly_spread
from synthct.qa.acceptance_range import Limits, limits_of
from synthct.qa.check import Check
from synthct.qa.input_checks import MEASURED
from synthct.qa.mr_facts import MrFacts
from synthct.qa.silhouette import orientation_of

SILHOUETTES = 12  # of other patients, that a silhouette is compared with
MARGIN_SHARE = 0.25  # of others' evidence for how the head lies; below 0 it speaks against it
FLOOR_LIKENESS = 0.005
TELLING_SHARE = 0.9  # of the others, who must lie rightly by the margin for it to be asked
USUAL_SHARE = 0.25  # of the other patients: what is found in so many is not a doubt


def flag_reasons(mr: MrFacts, known: Sequence[MrFacts]) -> list[str]:
    """What is doubtful in the head mask, but for the volume, and is not so in a quarter of the other patients too."""
    kinds = [{_kind(flag) for flag in facts.mask_flags} for facts in known]
    reasons = []
    for flag in mr.mask_flags:
        usual = sum(_kind(flag) in seen for seen in kinds)
        if " l, and heads have " in flag or (kinds and usual >= USUAL_SHARE * len(kinds)):
            continue
        against = f"; so have {usual} of {len(kinds)} {MEASURED}" if kinds else ""
        reasons.append(f"{flag[0].upper()}{flag[1:]}{against}. Look at the image and at the sCT's outline.")
    return reasons


def _kind(flag: str) -> str:
    return "".join(letter for letter in flag if not letter.isdigit())


def orientation_checks(mr: MrFacts, known: Sequence[MrFacts]) -> list[Check]:
    """Whether the head's side view is like those of others, and whether it fits them better as it lies than turned.

    How it lies can only be judged where heads are alike, cut by the field of view at about the same places: the second
    check is made where nearly all of the others lie rightly by it, and where this head looks like theirs some way
    round. None is made where fewer than three others are known.
    """
    if len(known) < 3:
        return []
    chosen = [facts.silhouette for facts in evenly_spread(known, SILHOUETTES)]
    as_it_lies, turned, best = orientation_of(mr.silhouette, chosen)
    orientations = [orientation_of(side, chosen[:i] + chosen[i + 1 :]) for i, side in enumerate(chosen)]
    usual = limits_of([lies for lies, _, _ in orientations], floor=FLOOR_LIKENESS, side="low")
    likeness = Check(
        "side_view_likeness",
        "The likeness of the head's side view to other patients', whichever way it is turned,",
        round(max(as_it_lies, turned), 4),
        "",
        Limits(usual.low, np.inf, 0.0, np.inf, usual.n_patients),
        MEASURED,
        "Look whether the head is complete, and how it lies: it is cut elsewhere than theirs, or no head.",
    )
    margins = [lies - other for lies, other, _ in orientations]
    if likeness.status != "pass" or np.mean(np.array(margins) > 0) < TELLING_SHARE:
        return [likeness]
    hint = (
        f"The head seems to be {best}: check the orientation in the file."
        if turned > as_it_lies
        else "Check the orientation in the file, and whether the head is complete."
    )
    margin = Check(
        "orientation_margin",
        "The likeness of the head's side view to other patients', as the file says it lies minus turned over,",
        round(as_it_lies - turned, 4),
        "",
        Limits(MARGIN_SHARE * float(np.median(margins)), np.inf, 0.0, np.inf, len(margins)),
        MEASURED,
        hint,
    )
    return [likeness, margin]
