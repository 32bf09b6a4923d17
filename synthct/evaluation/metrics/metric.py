"""A metric: a column of the tables, with all that a reader needs to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthct.evaluation.metrics.volume_pair import VolumePair

IN_MASK = "the mask"
WINDOW_HU = (-600.0, 1400.0)  # that the networks of Wolterink et al. 2017 see; of the windowed metrics and the figures


@dataclass(frozen=True)
class Metric:
    """A column of the tables.

    Attributes:
        column: its name in the CSV files, ending in the unit or in the protocol.
        title: its name in sentences.
        unit: HU, dB, mm, %, or empty.
        lower_is_better: or higher; None where the best value is 0 and both signs occur.
        compute: NaN where the patient's images do not allow it, such as an error in bone where there is none.
        formula: in a line.
        source: of the formula.
        clip_hu: both CTs are clipped to this range first; None: they are not clipped.
        region: what the voxels are that count.
        protocols: those it belongs to, beside ``all``.
        main: whether the terminal shows what models are compared by with it.
        needs_heads: whether it needs the heads found in sCT and CT.
    """

    column: str
    title: str
    unit: str
    lower_is_better: bool | None
    compute: Callable[[VolumePair], float]
    formula: str
    source: str
    clip_hu: tuple[float, float] | None = None
    region: str = IN_MASK
    protocols: tuple[str, ...] = ()
    main: bool = False
    needs_heads: bool = False
