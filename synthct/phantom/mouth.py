"""Jaws and teeth, tongue, throat and the airway down to the trachea."""

import numpy as np

from synthct.phantom.canvas import Canvas, Ellipsoid, Tube
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.tissue_properties import (
    AIR,
    CARTILAGE,
    CONNECTIVE,
    CORTICAL_BONE,
    DENTINE,
    ENAMEL,
    FAT,
    GLAND,
    MARROW,
    MUCOSA,
    MUSCLE,
    THIN_BONE,
)


def paint_jaws(canvas: Canvas, patient: PatientParameters) -> None:
    """Maxilla, palate, mandible with ramus and condyle, teeth, tongue and cheeks."""
    drop = patient.mouth_open_mm
    canvas.paint_bone(
        Tube([(0, -80, -77), (13, -76, -78), (23, -62, -79), (27, -44, -79)], [6.5, 7, 7, 6]),
        CORTICAL_BONE,
        MARROW,
        1.2,
        mirrored=True,
    )
    canvas.paint(THIN_BONE, Tube([(8, -76, -73), (10, -56, -72.5), (9, -38, -72)], [2.2, 1.8, 1.6]), mirrored=True)
    canvas.paint(THIN_BONE, Tube([(0, -76, -73), (0, -38, -72)], [2.2, 1.8]))
    canvas.paint(THIN_BONE, Tube([(17, -72, -73), (19, -56, -73), (16, -38, -72)], [2.2, 1.9, 1.8]), mirrored=True)
    canvas.paint(CORTICAL_BONE, Tube([(0, -86, -74), (0, -80, -78)], [1.5, 3]))
    body = Tube(
        [(0, -83, -124 - drop), (14, -78, -123 - drop), (30, -58, -118 - drop), (40, -34, -112 - 0.7 * drop)],
        [8, 7.8, 7.4, 7],
    )
    lower = Tube(
        [(0, -83, -114 - drop), (14, -77, -113 - drop), (28, -58, -109 - drop), (33, -40, -105 - 0.7 * drop)],
        [6, 6, 6.2, 6],
    )
    canvas.paint(
        CORTICAL_BONE,
        Tube([(40, -33, -114 - 0.6 * drop), (44, -24, -100), (48, -12, -70), (49, -7, -52)], [6.5, 4.5, 3.4, 3.4]),
        mirrored=True,
    )
    canvas.paint(CORTICAL_BONE, Tube([(41, -37, -104), (45, -34, -85), (47, -37, -60)], [5, 3.6, 1.6]), mirrored=True)
    canvas.paint(CORTICAL_BONE, Ellipsoid((44.5, -26, -90), (3.3, 14, 25), 14, 3.0), mirrored=True)  # ramus
    canvas.paint(MARROW, Ellipsoid((44.0, -26, -95), (1.6, 10, 19), 14, 2.0), mirrored=True)
    canvas.paint_bone(Ellipsoid((50, -6, -48), (8.5, 4.2, 4.5)), CORTICAL_BONE, MARROW, 1.4, mirrored=True)
    for part in (body, lower):
        canvas.paint(CORTICAL_BONE, part, mirrored=True)
    for part in (body, lower):
        canvas.paint(MARROW, part, grow_mm=-2.6, mirrored=True)
    _paint_teeth(canvas, patient)


def _paint_teeth(canvas: Canvas, patient: PatientParameters) -> None:
    """Eight teeth a quadrant along a parabolic arch: dentine roots in the bone, enamel crowns."""
    # Centres along the arch (x, y), crown radius and height in mm, incisor to third molar: Wheeler's Dental Anatomy.
    arch: list[tuple[float, float, float, float]] = [
        (4.2, -84, 3.6, 10.5),
        (11.5, -82, 3.2, 9.5),
        (17.5, -77, 3.7, 10.5),
        (21.5, -70, 3.5, 8.5),
        (24.0, -63, 3.5, 8.0),
        (26.5, -54, 5.0, 7.5),
        (28.5, -44, 4.9, 7.0),
        (29.5, -35, 4.3, 6.5),
    ]
    number = 0
    for upper in (True, False):
        for side in (1.0, -1.0):
            for x, y, radius, height in arch:
                missing = patient.missing_teeth[number]
                number += 1
                if missing:
                    continue
                if upper:
                    base, tip, root = -85.0, -85.0 - height, -73.0
                else:
                    base = -106.0 - patient.mouth_open_mm
                    tip, root = base + height, base - 14.0
                    x, y = x * 0.93, y + (2.5 if abs(x) < 20 else 1.0)
                inner = (0.0, 0.0) if abs(x) < 20 else (0.6, 0.0)
                x = x * side
                canvas.paint(DENTINE, Tube([(x, y, base), (x - inner[0] * side, y + 1.5, root)], [radius * 0.8, 1.3]))
                lean = -1.0 if x * x < 300 else 0.0
                ends = (0.9, 0.55) if abs(y) > 75 else (0.95, 0.85)
                crown = [(x, y, base), (x, y + lean, tip + np.sign(base - tip) * radius * 0.5)]
                canvas.paint(ENAMEL, Tube(crown, [radius * ends[0], radius * ends[1]]))
                canvas.paint(DENTINE, Tube(crown, [radius * ends[0], radius * ends[1]]), grow_mm=-1.3)


def paint_mouth_and_throat(canvas: Canvas, patient: PatientParameters) -> None:
    """Tongue, soft palate, cheeks, lips, pharynx, epiglottis, larynx and trachea."""
    drop = patient.mouth_open_mm
    canvas.paint(MUCOSA, Ellipsoid((0, -56, -100), (25, 30, 21)))
    canvas.paint(AIR, Tube([(0, -66, -81 - 0.2 * drop), (0, -48, -79), (0, -38, -80)], [1.6 + 0.4 * drop, 1.2, 1.0]))
    canvas.paint(MUSCLE, Ellipsoid((0, -50, -103), (21.5, 27, 21)))
    canvas.paint(FAT, Ellipsoid((0, -58, -110), (1.2, 14, 12)), opacity=0.5)
    canvas.paint(FAT, Tube([(0, -52, -122), (10, -50, -124)], [3, 2]), mirrored=True, opacity=0.7)
    canvas.paint(MUSCLE, Tube([(0, -76, -122 - drop), (6, -60, -130), (4, -48, -134)], [3, 4.5, 4]), mirrored=True)
    canvas.paint(
        MUSCLE, Tube([(56, -46, -52), (55, -34, -84), (50, -28, -112)], [5, 8.5, 6]), mirrored=True
    )  # masseter
    canvas.paint(
        MUSCLE, Tube([(24, -30, -52), (32, -26, -78), (40, -26, -104)], [6, 6.5, 4]), mirrored=True
    )  # pterygoid
    canvas.paint(MUSCLE, Tube([(22, -34, -50), (44, -12, -50)], [6.5, 4.0]), mirrored=True)
    canvas.paint(FAT, Tube([(44, -58, -62), (40, -56, -84)], [8, 6]), mirrored=True)  # buccal fat
    canvas.paint(FAT, Tube([(33, -16, -70), (34, -20, -96)], [4.5, 4.0]), mirrored=True)  # parapharyngeal fat
    canvas.paint(GLAND, Tube([(60, -8, -66), (56, -2, -92), (50, -4, -108)], [7, 9, 6]), mirrored=True)  # parotid
    canvas.paint(GLAND, Ellipsoid((27, -38, -126), (8, 15, 9)), mirrored=True)  # submandibular
    pharynx = [(0, -26, -50), (0, -25, -70), (0, -24, -92), (0, -25, -116), (0, -30, -134), (0, -30, -146)]
    canvas.paint(MUCOSA, Tube(pharynx, [13, 13, 13, 13, 13, 11]))
    canvas.paint(AIR, Tube([(0, -31, -54), (0, -27, -62), (0, -25, -72)], [7, 8.5, 6.5]))
    canvas.paint(AIR, Tube([(5, -24.5, -72), (5.5, -23, -92), (5, -24.5, -116)], [4.6, 4.2, 5.2]), mirrored=True)
    canvas.paint(AIR, Tube([(8, -27, -116), (9, -28, -128), (10, -24, -140)], [4.4, 4.2, 2.2]), mirrored=True)
    canvas.paint(MUCOSA, Tube([(0, -38, -72), (0, -31, -80), (0, -27, -92)], [3.2, 3.6, 2.6]))  # soft palate, uvula
    canvas.paint(MUCOSA, Tube([(6, -37, -73), (6, -30, -82)], [3, 3]), mirrored=True)
    canvas.paint(CARTILAGE, Tube([(4, -36, -132), (3, -31, -118)], [2.2, 1.4]), mirrored=True)  # epiglottis
    canvas.paint_bone(
        Tube([(0, -55, -138), (13, -50, -137), (20, -32, -134)], [4, 3.2, 2.2]),
        CORTICAL_BONE,
        MARROW,
        1.0,
        mirrored=True,
    )
    canvas.paint(CARTILAGE, Tube([(2, -50, -152), (14, -36, -152), (14, -24, -150)], [3.2, 3, 2.5]), mirrored=True)
    canvas.paint(CARTILAGE, Tube([(2, -46, -172), (12, -34, -172), (12, -22, -172)], [3.2, 3, 2.5]), mirrored=True)
    canvas.paint(CONNECTIVE, Tube([(0, -33, -134), (0, -33, -200)], [12, 12]))
    canvas.paint(
        AIR,
        Tube([(0, -34, -130), (0, -35, -146), (0, -34, -158), (0, -33, -170), (0, -30, -210)], [4, 6, 3.6, 7.5, 8.2]),
    )
