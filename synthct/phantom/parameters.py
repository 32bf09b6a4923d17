"""What makes one patient differ from the next, drawn once from (seed, index)."""

from dataclasses import dataclass, replace

import numpy as np

from synthct.tuples import triple


@dataclass(frozen=True)
class PatientParameters:
    """Lengths in mm, angles in degrees, fractions without unit; ``age`` steers atrophy, skull, sinuses and teeth."""

    seed: int
    index: int
    age: float
    scale: tuple[float, float, float]  # of the anatomy drawn here (152 mm wide, 196 mm long, x y z)
    pose_mm: tuple[float, float, float]
    pose_deg: tuple[float, float, float]
    warp_mm: float  # SD of the smooth deformation that makes each face its own
    skull_mm: float
    scalp_mm: float
    ventricles: float
    atrophy: float
    sinuses: float
    mastoid: float
    mouth_open_mm: float
    missing_teeth: tuple[bool, ...]
    ear: float
    scanner_gain: float
    jaw_sign: float
    neck_sign: float

    @classmethod
    def draw(cls, index: int, seed: int) -> "PatientParameters":
        """The patient depends on seed and index alone, never on how many others are made."""
        rng = np.random.default_rng([seed, index])
        age = rng.uniform(22, 82)
        old = (age - 22) / 60
        size = rng.normal(1.0, 0.02)
        return cls(
            seed=seed,
            index=index,
            age=age,
            scale=triple(float(size * np.clip(rng.normal(1.0, s), 1 - 2 * s, 1 + 2 * s)) for s in (0.02, 0.02, 0.015)),
            pose_mm=triple(map(float, rng.normal(0, (1.5, 3.0, 2.0)))),
            pose_deg=triple(map(float, rng.normal(0, (3.0, 1.5, 1.5)))),
            warp_mm=rng.uniform(1.0, 1.8),
            skull_mm=rng.uniform(5.6, 8.0) + 0.4 * old,
            scalp_mm=rng.uniform(3.8, 6.5),
            ventricles=rng.uniform(0.8, 1.1) * (1 + 0.45 * old**2),
            atrophy=0.6 * old + rng.uniform(0, 0.4),
            sinuses=rng.uniform(0.75, 1.15),
            mastoid=rng.uniform(0.6, 1.1),
            mouth_open_mm=rng.uniform(0.5, 4.0),
            missing_teeth=tuple(bool(v) for v in rng.random(32) < 0.02 + 0.22 * old**2),
            ear=rng.uniform(0.9, 1.15),
            scanner_gain=rng.uniform(0.87, 1.15),
            jaw_sign=float(rng.choice((-1.0, 1.0))),
            neck_sign=float(rng.choice((-1.0, 1.0))),
        )

    def with_common_signs(self) -> "PatientParameters":
        """The same patient, whose jaw and neck have moved the same way as everyone else's."""
        return replace(self, jaw_sign=1.0, neck_sign=1.0)

    def rng(self, purpose: int) -> np.random.Generator:
        """An independent stream a purpose, so that one part's draws never shift another's."""
        return np.random.default_rng([self.seed, self.index, purpose])
