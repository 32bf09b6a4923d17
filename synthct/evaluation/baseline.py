"""The trivial sCT that a model has to beat: the mean CT of the training patients, the same number everywhere."""

from __future__ import annotations

from collections.abc import Iterable

from synthct.planning.fingerprint import Fingerprint

LABEL = "mean_ct"


def mean_ct_hu(fingerprint: Fingerprint, trained_on: Iterable[str]) -> float | None:
    """Mean HU over all head voxels of the training patients' CTs.

    Of all sCTs that do not look at the MR and are constant inside the head, this one has the least squared error over
    the training patients.

    Args:
        trained_on: the training patients of the fold that held the scored patient out; those without a CT are passed
            over.

    Returns:
        The mean of the patients' mean HU, weighted by the volumes of their heads; None where none of them has a CT.
    """
    cts = [fingerprint.cases[patient].ct for patient in trained_on if patient in fingerprint.cases]
    cts = [ct for ct in cts if ct is not None and ct.head_volume_l > 0]
    volume_l = sum(ct.head_volume_l for ct in cts)
    return sum(ct.head_mean * ct.head_volume_l for ct in cts) / volume_l if cts else None
