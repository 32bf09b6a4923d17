"""What each tissue looks like: relaxation and proton density for MR, Hounsfield units for CT."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Tissue:
    """One tissue at 1.5 T and 120 kVp; ``hu_texture`` is the SD of its own structure, on top of scanner noise."""

    proton_density: float
    t1_ms: float
    t2_star_ms: float
    hu: float
    hu_texture: float = 0.0
    t2_ms: float = 1.0


class Contrast(Protocol):
    """An MR sequence: what it makes of each tissue."""

    def signal(self, tissue: Tissue) -> float:
        """In scanner units, 0 or more."""
        ...


@dataclass(frozen=True)
class GradientEcho:
    """A spoiled gradient echo (FLASH) sequence: times in ms, flip angle in degrees.

    ``white_matter_signal`` is the scanner value given to white matter; all other tissues follow from it.
    """

    repetition_time_ms: float = 6.98
    echo_time_ms: float = 3.14
    flip_angle_deg: float = 8.0
    white_matter_signal: float = 1600.0

    def relative_signal(self, tissue: Tissue) -> float:
        """S = M0 sin a (1 - E1) / (1 - cos a E1) exp(-TE / T2*): Haase et al. 1986, J Magn Reson 67:258."""
        flip = np.deg2rad(self.flip_angle_deg)
        e1 = np.exp(-self.repetition_time_ms / tissue.t1_ms)
        steady_state = np.sin(flip) * (1.0 - e1) / (1.0 - np.cos(flip) * e1)
        return float(tissue.proton_density * steady_state * np.exp(-self.echo_time_ms / tissue.t2_star_ms))

    def signal(self, tissue: Tissue) -> float:
        """Signal in scanner units, white matter at ``white_matter_signal``."""
        return self.white_matter_signal * self.relative_signal(tissue) / self.relative_signal(WHITE_MATTER)


# T1, T2* and proton density at 1.5 T. Brain, CSF: Stanisz et al. 2005 (MRM 54:507), Wansapura et al. 1999 (JMRI 9:531).
# Fat, muscle, marrow, cartilage: de Bazelaire et al. 2004 (Radiology 230:652), Gold et al. 2004 (AJR 183:343).
# Cortical bone: Reichert et al. 2005 (MRI 23:611), T2* below 0.5 ms, so it is as dark as air at TE = 3 ms.
# T2: Stanisz et al., de Bazelaire et al., Gold et al. as above; fat as in a train of echoes, where it is brighter.
# HU at 120 kVp: Schneider et al. 2000 (PMB 45:459) and ICRU 46; bone as measured in clinical head CT.
AIR = Tissue(0.0, 1000.0, 10.0, -1000.0)
SKIN = Tissue(0.62, 620.0, 12.0, 0.0, 15.0, t2_ms=30.0)
FAT = Tissue(0.90, 270.0, 32.0, -100.0, 8.0, t2_ms=90.0)
MUSCLE = Tissue(0.76, 950.0, 26.0, 58.0, 6.0, t2_ms=44.0)
CONNECTIVE = Tissue(0.70, 800.0, 22.0, 35.0, 15.0, t2_ms=35.0)
MUCOSA = Tissue(0.86, 1050.0, 30.0, 42.0, 6.0, t2_ms=80.0)
CARTILAGE = Tissue(0.70, 1000.0, 18.0, 85.0, 10.0, t2_ms=40.0)
GLAND = Tissue(0.85, 600.0, 32.0, 12.0, 18.0, t2_ms=70.0)
DURA = Tissue(0.45, 800.0, 8.0, 60.0, t2_ms=25.0)
CSF = Tissue(1.0, 4000.0, 800.0, 9.0, 1.0, t2_ms=2000.0)
GREY_MATTER = Tissue(0.81, 1124.0, 75.0, 39.0, 1.5, t2_ms=95.0)
DEEP_GREY = Tissue(0.80, 950.0, 60.0, 40.0, 1.5, t2_ms=80.0)
WHITE_MATTER = Tissue(0.71, 640.0, 62.0, 29.0, 1.5, t2_ms=72.0)
SPINAL_CORD = Tissue(0.74, 720.0, 55.0, 35.0, 2.0, t2_ms=76.0)
VITREOUS = Tissue(1.0, 3900.0, 800.0, 10.0, t2_ms=1500.0)
LENS = Tissue(0.60, 1000.0, 12.0, 95.0, t2_ms=30.0)
BLOOD = Tissue(0.85, 1400.0, 80.0, 48.0, 3.0, t2_ms=180.0)
CORTICAL_BONE = Tissue(0.15, 230.0, 0.45, 1450.0, 130.0, t2_ms=0.6)
DIPLOE = Tissue(0.80, 340.0, 14.0, 430.0, 110.0, t2_ms=50.0)
MARROW = Tissue(0.82, 380.0, 13.0, 260.0, 90.0, t2_ms=50.0)
PETROUS_BONE = Tissue(0.15, 230.0, 0.5, 1350.0, 330.0, t2_ms=0.6)
THIN_BONE = Tissue(0.15, 230.0, 0.45, 1000.0, 120.0, t2_ms=0.6)
DENTINE = Tissue(0.10, 230.0, 0.4, 1650.0, 90.0, t2_ms=0.4)
ENAMEL = Tissue(0.03, 230.0, 0.3, 2450.0, 80.0, t2_ms=0.3)
DISC = Tissue(0.80, 950.0, 35.0, 85.0, 8.0, t2_ms=60.0)

T1_SEED = GradientEcho()
"""The 3D T1 sequence of Wolterink et al. 2017: TR 6.98 ms, TE 3.14 ms, flip angle 8 degrees, 1.5 T."""
