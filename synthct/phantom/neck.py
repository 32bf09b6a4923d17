"""The neck: cervical vertebrae, discs, cord in its canal, muscle, fat planes and vessels."""

import itertools

from synthct.phantom.canvas import Canvas, Ellipsoid, Tube
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.tissue_properties import (
    BLOOD,
    CONNECTIVE,
    CORTICAL_BONE,
    CSF,
    DISC,
    FAT,
    MARROW,
    MUSCLE,
    SPINAL_CORD,
)

# Centre of each vertebral body (y, z) from C2 down, mm: a gentle lordosis; bodies are 14 mm high, discs 5 mm.
BODIES = ((-3.0, -105.0), (-4.5, -124.0), (-5.5, -142.5), (-5.5, -161.0), (-4.0, -179.5), (-1.0, -198.0))


def paint_neck(canvas: Canvas, patient: PatientParameters) -> None:
    """Muscle bundles first, then the spine through them."""
    _paint_muscles(canvas)
    _paint_spine(canvas)


def _paint_muscles(canvas: Canvas) -> None:
    """Muscle bundles between fat planes, carotid and jugular."""
    # Deep ones first: each covers part of the one below, which leaves the crescents that neck muscles are.
    bundles = (
        ([(7, -15, -76), (8, -16, -120), (8, -16, -200)], [4, 4.5, 5]),  # longus colli
        ([(12, 34, -72), (13, 31, -100), (14, 31, -200)], [9, 9, 10]),  # multifidus and suboccipital
        ([(24, -2, -105), (28, 2, -150), (32, 4, -200)], [5, 8, 10]),  # scalenes
        ([(40, 20, -80), (38, 22, -120), (40, 24, -200)], [10, 11, 12]),  # levator scapulae
        ([(10, 48, -58), (11, 45, -100), (12, 43, -200)], [10, 11, 11]),  # semispinalis
        ([(28, 44, -56), (26, 44, -100), (26, 44, -200)], [10, 12, 12]),  # splenius
        ([(8, 66, -64), (16, 66, -110), (28, 60, -160), (40, 54, -200)], [4, 7, 9, 10]),  # trapezius
        ([(56, 18, -60), (48, 6, -100), (36, -14, -150), (28, -26, -190)], [8, 10, 10, 9]),  # sternocleidomastoid
    )
    skin_clear = canvas.outside + 5.0
    for points, radii in bundles:
        canvas.paint(FAT, Tube(points, radii), grow_mm=0.9, mirrored=True, opacity=0.6, within=skin_clear, rough_mm=1.2)
        canvas.paint(MUSCLE, Tube(points, radii), mirrored=True, within=skin_clear, rough_mm=1.2)
    vessels = [(25, -6, -72), (25, -14, -110), (24, -20, -150), (22, -22, -200)]
    canvas.paint(FAT, Tube(vessels, [6, 7, 8, 8]), mirrored=True, opacity=0.8)
    canvas.paint(BLOOD, Tube([(x - 2, y - 1, z) for x, y, z in vessels], [2.4, 2.8, 3.2, 3.2]), mirrored=True)
    canvas.paint(BLOOD, Tube([(x + 4, y + 3, z) for x, y, z in vessels], [3.6, 4.0, 4.5, 4.5]), mirrored=True)


def _paint_spine(canvas: Canvas) -> None:
    """Atlas, axis with dens, lower vertebrae; canal with CSF and cord; discs; facet joints; ligamentum nuchae."""
    canvas.paint(FAT, Tube([(0, 36, -90), (0, 42, -200)], [1.6, 1.6]), opacity=0.7)
    column = [(0, -2, -96)] + [(0, y, z) for y, z in BODIES]
    canvas.paint(CONNECTIVE, Tube([(x, y - 1, z) for x, y, z in column], [8.5] * len(column)))
    canvas.paint(
        FAT,
        Tube([(0, 21, -76)] + [(0, y + 18.5, z) for _, y, z in column[1:]], [11.5] + [10] * (len(column) - 1)),
        opacity=0.6,
    )
    for (y0, z0), (y1, z1) in itertools.pairwise(BODIES):
        canvas.paint(DISC, Ellipsoid((0, (y0 + y1) / 2, (z0 + z1) / 2), (9.5, 8.2, 3.4)))
    for number, (y, z) in enumerate(BODIES):
        body = Ellipsoid((0, y, z), (10.5, 8.4, 7.4), -6.0, 4.0)
        canvas.paint_bone(body, CORTICAL_BONE, MARROW, 1.3)
        canvas.paint(
            CORTICAL_BONE, Tube([(9, y + 3, z), (15, y + 1, z - 1), (19, y - 2, z - 3)], [3.4, 2.6, 2.4]), mirrored=True
        )
        canvas.paint_bone(
            Tube([(16.5, y + 9, z + 7), (17, y + 11, z - 7)], [5.4, 5.6]), CORTICAL_BONE, MARROW, 1.4, mirrored=True
        )
        canvas.paint_bone(
            Tube([(16, y + 13, z - 2), (8, y + 24, z - 4), (0, y + 28, z - 6)], [3.6, 3.3, 3.4]),
            CORTICAL_BONE,
            MARROW,
            1.3,
            mirrored=True,
        )
        long = 34.0 + (6.0 if number == 0 else 2.0 * number)
        canvas.paint_bone(
            Tube([(0, y + 27, z - 6), (2.0, y + long + 6, z - 12)], [3.4, 4.2 if number else 6]),
            CORTICAL_BONE,
            MARROW,
            1.4,
            mirrored=True,
        )
        canvas.paint(CONNECTIVE, Tube([(12, y + 10, z + 9.5), (21, y + 9, z + 9)], [0.8, 0.8]), mirrored=True)
    canvas.paint_bone(
        Tube([(0, -1.5, -100), (0, -0.5, -86), (0, -1.5, -75)], [7, 5.6, 4.6]), CORTICAL_BONE, MARROW, 1.5
    )
    canvas.paint_bone(
        Tube([(0, -9.5, -80), (12, -5, -80)], [3.6, 3.8]), CORTICAL_BONE, MARROW, 1.4, mirrored=True
    )  # atlas
    canvas.paint_bone(Tube([(20, 4, -74), (20, 4, -85)], [6.5, 7.0]), CORTICAL_BONE, MARROW, 1.5, mirrored=True)
    canvas.paint_bone(Tube([(22, 6, -80), (38, 6, -82)], [4.5, 4]), CORTICAL_BONE, MARROW, 1.3, mirrored=True)
    canvas.paint_bone(
        Tube([(20, 12, -80), (14, 30, -80), (0, 37, -80)], [3.6, 3.2, 4.2]), CORTICAL_BONE, MARROW, 1.3, mirrored=True
    )
    canvas.paint_bone(
        Ellipsoid((17, 5, -68), (6, 10, 4.5), -20), CORTICAL_BONE, MARROW, 1.3, mirrored=True
    )  # occipital condyle
    canal = [(0, 19, -66), (0, 17, -80), (0, 14.5, -98)] + [(0, y + 16.5, z) for y, z in BODIES]
    canvas.paint(CSF, Tube(canal, [10.5, 9.5, 8.5] + [7.4] * len(BODIES)))
    canvas.paint(SPINAL_CORD, Tube(canal, [6.6, 5.8, 5.4] + [4.6] * len(BODIES)))
