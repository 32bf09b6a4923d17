"""The head's shape: how it lies, and what is doubtful in its mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthct.inference.qa.check import Check
from synthct.inference.qa.input_checks import MEASURED
from synthct.inference.qa.limits import Limits
from synthct.inference.qa.mr_facts import MrFacts
from synthct.inference.qa.silhouette import orientation_of

SILHOUETTES = 12  # of other patients, that a silhouette is compared with
MARGIN_SHARE = 0.25  # of others' evidence for how the head lies; below 0 it speaks against it
USUAL_SHARE = 0.25  # of the other patients: what is found in so many is no doubt


def flag_reasons(mr: MrFacts, known: Sequence[MrFacts]) -> list[str]:
    """What is doubtful in the head mask, but for the volume, and is not so in a quarter of the other patients too."""
    kinds = [{_kind(flag) for flag in one.mask_flags} for one in known]
    reasons = []
    for flag in mr.mask_flags:
        usual = sum(_kind(flag) in one for one in kinds)
        if " l, and heads have " in flag or (kinds and usual >= USUAL_SHARE * len(kinds)):
            continue
        against = f"; so have {usual} of {len(kinds)} {MEASURED}" if kinds else ""
        reasons.append(f"{flag[0].upper()}{flag[1:]}{against}. Look at the image and at the sCT's outline.")
    return reasons


def _kind(flag: str) -> str:
    return "".join(letter for letter in flag if not letter.isdigit())


def orientation_check(mr: MrFacts, known: Sequence[MrFacts]) -> Check | None:
    """How much better the head's silhouette fits those of others as it lies than turned; and the turn that fits best.

    None where fewer than two other patients are known.
    """
    if len(known) < 2:
        return None
    chosen = [known[i].silhouette for i in np.linspace(0, len(known) - 1, min(SILHOUETTES, len(known))).astype(int)]
    as_it_lies, turned, best = orientation_of(mr.silhouette, chosen)
    theirs = []
    for number, side in enumerate(chosen):
        lies, other, _ = orientation_of(side, chosen[:number] + chosen[number + 1 :])
        theirs.append(lies - other)
    limits = Limits(MARGIN_SHARE * float(np.median(theirs)), np.inf, 0.0, np.inf, len(theirs))
    hint = (
        f"The head seems to be {best}: check the orientation in the file."
        if turned > as_it_lies
        else "Check the orientation in the file, and whether the head is complete."
    )
    what = "The likeness of the head's side view to other patients', as the file says it lies minus turned over,"
    return Check("orientation_margin", what, round(as_it_lies - turned, 4), "", limits, MEASURED, hint)
