"""An sCT against those of held-out patients: HU, uncertainty over the folds, and the way back to the MR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthct.qa.acceptance_range import limits_of
from synthct.qa.check import Check
from synthct.qa.input_checks import distances_from_mean
from synthct.qa.measure_sct import AIR_BELOW_HU, BONE_ABOVE_HU, UPPER_MM, OutputFacts
from synthct.qa.qa_reference import PatientRecord

HELD_OUT = "held-out patients"
CTS = "CTs of the training"
FLOOR_AIR, FLOOR_BONE = 0.005, 0.01  # of the head
FLOOR_HU_DISTANCE, FLOOR_ERROR = 0.15, 0.10  # shares
UNTRUE = "Compare the sCT with the MR, bone and air cavities first."
UNSURE = "This MR is out of distribution for the networks: do not trust the sCT without looking."


def hu_checks(output: OutputFacts, records: Sequence[PatientRecord]) -> list[Check]:
    """The sCT's HU against the held-out patients' sCTs; against the training CTs where no patient was held out."""
    cts = [record.ct for record in records if record.ct is not None]
    scts = [record.output.hu for record in records if record.output is not None]
    known, whose = (scts, HELD_OUT) if scts else (cts, CTS)
    if not known:
        return []
    part = f"of the upper {UPPER_MM:.0f} mm of the head"
    hu = output.hu
    checks = [
        Check(
            "air_percent",
            f"The sCT's share of air (below {AIR_BELOW_HU:.0f} HU) {part}",
            100 * hu.air,
            "%",
            limits_of([100 * facts.air for facts in known], floor=100 * FLOOR_AIR),
            whose,
            UNTRUE,
        ),
        Check(
            "bone_percent",
            f"The sCT's share of bone (above {BONE_ABOVE_HU:.0f} HU) {part}",
            100 * hu.bone,
            "%",
            limits_of([100 * facts.bone for facts in known], floor=100 * FLOOR_BONE),
            whose,
            UNTRUE,
        ),
    ]
    if len(cts) > 1:
        distance = lambda a, b: np.abs(a - b).mean()  # noqa: E731  the Wasserstein distance of two quantile functions
        value, ct_distances = distances_from_mean(hu.quantiles_hu, [ct.quantiles_hu for ct in cts], distance)
        sct_distances = [
            distances_from_mean(sct.quantiles_hu, [ct.quantiles_hu for ct in cts], distance)[0] for sct in scts
        ]
        checks.append(
            Check(
                "hu_distance",
                f"The distance of the sCT's HU histogram from that of the training CTs (Wasserstein, {part[3:]})",
                value,
                "HU",
                limits_of(sct_distances or ct_distances, floor=FLOOR_HU_DISTANCE, proportional=True, side="high"),
                whose,
                UNTRUE,
            )
        )
    return checks


def certainty_checks(output: OutputFacts, records: Sequence[PatientRecord]) -> list[Check]:
    """Uncertainty and cycle error, inside head and bone, as far as they were measured here and there."""
    checks = []
    for place, words in (("head", "the head"), ("bone", "the sCT's bone")):
        value = getattr(output, f"uncertainty_{place}_hu")
        known = [record for record in records if getattr(record, f"uncertainty_{place}_hu") is not None]
        if value is not None and known:
            # All folds but one have seen these patients. At worst those agree exactly: the SD over n folds is then
            # 1 / sqrt(n) of what it is between folds of which none has.
            widened = float(np.sqrt(np.median([record.ensemble_folds for record in known])))
            checks.append(
                Check(
                    f"uncertainty_{place}_hu",
                    f"The folds' mean SD in {words}",
                    value,
                    "HU",
                    limits_of(
                        [getattr(record, f"uncertainty_{place}_hu") for record in known],
                        floor=FLOOR_ERROR,
                        proportional=True,
                        side="high",
                        widened=widened,
                    ),
                    HELD_OUT,
                    UNSURE,
                )
            )
        value = getattr(output, f"cycle_error_{place}")
        errors = [getattr(record.output, f"cycle_error_{place}") for record in records if record.output is not None]
        errors = [error for error in errors if error is not None]
        if value is not None and errors:
            checks.append(
                Check(
                    f"cycle_error_{place}_percent",
                    f"The error of the MR reconstructed from the sCT in {words}, of the MR window,",
                    value,
                    "%",
                    limits_of(errors, floor=FLOOR_ERROR, proportional=True, side="high"),
                    HELD_OUT,
                    UNSURE,
                )
            )
    return checks
