"""Whether a model is clearly better than a constant CT on patients whom it has not seen: one that is not gives no pass.

Its ranges come from its own held-out sCTs, and poor ones are wide ranges around poor values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

HARDLY_BETTER = 0.8  # of the MAE of a CT of one HU everywhere; a choice, no measurement


@dataclass(frozen=True)
class HeldOutError:
    """how far a held-out patient's sCT is from the CT, inside the head where both are known.

    Attributes:
        mae_hu: mean |sCT - CT|.
        constant_hu: the median HU of the heads in the CTs that the fold was trained on.
        constant_mae_hu: mean |constant_hu - CT| over the same voxels.
    """

    mae_hu: float
    constant_hu: float
    constant_mae_hu: float

    def __post_init__(self) -> None:
        for name, value in (("mae_hu", self.mae_hu), ("constant_mae_hu", self.constant_mae_hu)):
            if not 0 <= value <= 1e6:
                raise ValueError(f"{name} must be an error in HU, not {value:g}")
        if not abs(self.constant_hu) <= 1e6:
            raise ValueError(f"constant_hu must be HU, not {self.constant_hu:g}")


def useless_reason(errors: Sequence[HeldOutError]) -> str | None:
    """Why no sCT of a model can be more than ``check``; None where it is clearly better than a constant CT.

    Args:
        errors: of the held-out patients; of none nothing is said.
    """
    if not errors:
        return None
    model_hu, constant_hu = (fmean(getattr(error, name) for error in errors) for name in ("mae_hu", "constant_mae_hu"))
    if model_hu <= HARDLY_BETTER * constant_hu:
        return None
    patients = "1 held-out patient" if len(errors) == 1 else f"{len(errors)} held-out patients"
    worse = "is not better than" if model_hu >= constant_hu else "is hardly better than"
    return (
        f"The model {worse} a CT of one HU everywhere in the head: its MAE is {model_hu:.0f} HU in {patients}, and "
        f"that of the constant CT {constant_hu:.0f} HU (at most {HARDLY_BETTER * constant_hu:.0f} HU is asked for). "
        "Train it longer, or on more patients."
    )
