"""MR sequences beside the paper's: the contrasts that patients come with."""

from dataclasses import dataclass

import numpy as np

from synthct.phantom.tissue_properties import WHITE_MATTER, Tissue


@dataclass(frozen=True)
class SpinEcho:
    """A spin echo, with an inversion before it where ``inversion_time_ms`` is given; times in ms.

    ``white_matter_signal`` is the scanner value given to white matter; all other tissues follow from it.
    """

    repetition_time_ms: float
    echo_time_ms: float
    inversion_time_ms: float | None = None
    white_matter_signal: float = 800.0

    def relative_signal(self, tissue: Tissue) -> float:
        """S = M0 |1 - 2 exp(-TI / T1) + exp(-TR / T1)| exp(-TE / T2); without inversion M0 (1 - exp(-TR / T1)) ...

        Haacke et al. 1999, Magnetic Resonance Imaging, chapter 8.
        """
        recovered = np.exp(-self.repetition_time_ms / tissue.t1_ms)
        if self.inversion_time_ms is None:
            longitudinal = 1.0 - recovered
        else:
            longitudinal = abs(1.0 - 2.0 * np.exp(-self.inversion_time_ms / tissue.t1_ms) + recovered)
        return float(tissue.proton_density * longitudinal * np.exp(-self.echo_time_ms / tissue.t2_ms))

    def signal(self, tissue: Tissue) -> float:
        """Signal in scanner units, white matter at ``white_matter_signal``."""
        return self.white_matter_signal * self.relative_signal(tissue) / self.relative_signal(WHITE_MATTER)


T1_INVERSION = SpinEcho(2000.0, 3.0, 900.0, 1200.0)
"""Like an MPRAGE: grey matter half as bright as white, CSF near zero (the echo is so short that T2 hardly counts)."""
T2 = SpinEcho(4500.0, 95.0)
"""CSF bright, muscle and skin dark."""
FLAIR = SpinEcho(9000.0, 110.0, 2500.0)
"""As T2, but CSF dark."""
PROTON_DENSITY = SpinEcho(3000.0, 20.0)
"""All soft tissues alike."""
