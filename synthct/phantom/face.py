"""The face: skull base, orbits and eyes, nose, sinuses and mastoid cells."""

import numpy as np

from synthct.phantom.canvas import Canvas, Ellipsoid, Tube
from synthct.phantom.fields import sheet_distance
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.tissue_properties import (
    AIR,
    CARTILAGE,
    CORTICAL_BONE,
    DIPLOE,
    FAT,
    LENS,
    MARROW,
    MUCOSA,
    MUSCLE,
    PETROUS_BONE,
    SKIN,
    THIN_BONE,
    VITREOUS,
    WHITE_MATTER,
)


def paint_skull_base(canvas: Canvas, patient: PatientParameters) -> None:
    """Clivus and sphenoid, petrous pyramids, mastoids, zygomatic arches, condyle sockets, styloids, pterygoids."""
    canvas.paint_bone(
        Tube([(0, -24, -36), (0, -10, -40), (0, -2, -58), (0, 1, -67)], [10, 9, 6, 3.5]), CORTICAL_BONE, MARROW, 1.4
    )
    canvas.paint_bone(Ellipsoid((8, -30, -34), (13, 14, 13)), CORTICAL_BONE, MARROW, 1.3, mirrored=True)
    canvas.paint(CORTICAL_BONE, Tube([(8, -10, -24), (0, -9, -25), (-8, -10, -24)], [2, 2.6, 2]))  # dorsum sellae
    canvas.paint(MUCOSA, Ellipsoid((0, -18, -27), (7, 5.5, 5)))  # pituitary
    canvas.paint(
        PETROUS_BONE, Tube([(60, 14, -40), (44, 10, -36), (28, 2, -40), (14, -8, -42)], [13, 10, 8.5, 5]), mirrored=True
    )
    canvas.paint_bone(
        Tube([(58, 18, -40), (56, 20, -56), (52, 18, -66)], [12, 11, 6]), CORTICAL_BONE, DIPLOE, 1.8, mirrored=True
    )
    canvas.paint_bone(
        Tube([(66, -4, -41), (68, -20, -42), (66, -36, -43), (58, -54, -44)], [3.4, 2.8, 3.0, 5.5]),
        CORTICAL_BONE,
        MARROW,
        1.5,
        mirrored=True,
    )
    canvas.paint_bone(Tube([(56, -52, -46), (44, -66, -48)], [6.5, 6]), CORTICAL_BONE, MARROW, 1.5, mirrored=True)
    canvas.paint_bone(
        Tube([(54, -56, -42), (51, -62, -26), (48, -68, -12)], [4.5, 3.6, 4.5]),
        CORTICAL_BONE,
        MARROW,
        1.5,
        mirrored=True,
    )
    canvas.paint(THIN_BONE, Tube([(18, -32, -48), (20, -30, -62), (19, -30, -76)], [2.6, 1.8, 2.0]), mirrored=True)
    canvas.paint(THIN_BONE, Tube([(11, -32, -48), (12, -31, -72)], [1.8, 1.5]), mirrored=True)
    canvas.paint(CORTICAL_BONE, Tube([(38, 8, -56), (34, 2, -82)], [2.2, 1.2]), mirrored=True)


def paint_orbits(canvas: Canvas, patient: PatientParameters) -> None:
    """Bony cone, fat, muscles, optic nerve, globe with lens, lids."""
    cone = Tube([(32, -82, -27), (30, -72, -27), (24, -54, -26), (17, -38, -24)], [19, 19, 14.5, 5])
    canvas.paint(
        CORTICAL_BONE,
        Tube([(16, -86, -14), (32, -88, -9), (46, -78, -14), (50, -70, -28)], [4.5, 4.6, 4.5, 4]),
        mirrored=True,
    )
    canvas.paint(CORTICAL_BONE, Tube([(48, -70, -38), (36, -79, -47), (20, -82, -44)], [4.4, 3.6, 3]), mirrored=True)
    canvas.paint(THIN_BONE, cone, grow_mm=1.6, mirrored=True, within=_behind(canvas, -77.0))
    canvas.paint(FAT, cone, grow_mm=0.4, mirrored=True, within=canvas.outside + 3.0)
    for offset in ((0, 10.5), (0, -10.5), (10.5, 0), (-10.5, 0)):
        dx, dz = offset
        canvas.paint(
            MUSCLE,
            Tube([(19, -41, -25), (26 + 0.8 * dx, -58, -26 + 0.8 * dz), (31 + dx, -72, -27 + dz)], [1.2, 2.4, 1.1]),
            mirrored=True,
        )
    canvas.paint(WHITE_MATTER, Tube([(15, -34, -22), (24, -50, -25), (30, -66, -27)], [2.2, 2.0, 2.4]), mirrored=True)
    lid = Ellipsoid((32, -74, -27), (16.5, 15.2, 14.5))
    canvas.paint(SKIN, lid, mirrored=True, within=-_behind(canvas, -77.0))
    canvas.paint(MUSCLE, Ellipsoid((31.5, -74, -27), (12.4, 12.4, 12.2)), mirrored=True, rough_mm=0.0)  # sclera
    canvas.paint(VITREOUS, Ellipsoid((31.5, -74, -27), (11.4, 11.4, 11.2)), mirrored=True, rough_mm=0.0)
    canvas.paint(LENS, Ellipsoid((31.5, -82.0, -27), (4.6, 2.1, 4.6)), mirrored=True, rough_mm=0.0)
    lower, upper = lid.bounds()
    for side in (1.0, -1.0):
        ends = np.sort(np.array([lower[0], upper[0]]) * side)
        part = canvas.box((ends[0], *lower[1:]), (ends[1], *upper[1:]), 4.0)
        x, y, z = canvas.coordinates(part)
        np.minimum(canvas.outside[part], lid.distance(x * side, y, z), out=canvas.outside[part])


def _behind(canvas: Canvas, y_mm: float) -> np.ndarray:
    _, y, _ = canvas.coordinates((slice(None),) * 3)
    return np.broadcast_to(y_mm - y, canvas.hu.shape)


def paint_nose_and_sinuses(canvas: Canvas, patient: PatientParameters) -> None:
    """Nasal bones, cavity with septum and turbinates, frontal, ethmoid, maxillary, sphenoid sinuses; mastoid cells."""
    s = patient.sinuses
    canvas.paint(THIN_BONE, Tube([(3, -91, -16), (4, -97, -28), (4.5, -104, -40)], [4, 2.4, 1.2]), mirrored=True)
    canvas.paint(
        THIN_BONE,
        Tube([(11, -86, -26), (14, -84, -44), (16, -83, -60), (12, -85, -74)], [3.6, 3, 3, 3.5]),
        mirrored=True,
    )
    canvas.paint(CARTILAGE, Tube([(2, -106, -42), (5, -115, -60)], [2.0, 2.5]), mirrored=True)
    cavity = Tube([(6.5, -88, -61), (6.5, -72, -62), (6.5, -54, -62), (6.5, -38, -60)], [5.5, 6.8, 7.2, 7])
    roof = Tube([(4, -84, -46), (4, -64, -38), (4, -44, -40)], [4, 5, 5])
    canvas.paint(THIN_BONE, cavity, grow_mm=2.6, mirrored=True)
    for part in (cavity, roof):
        canvas.paint(MUCOSA, part, grow_mm=1.3, mirrored=True)
    maxillary = Ellipsoid((31.5, -57, -59), (13 * s, 16 * s, 15 * s), 12.0, 2.4)
    frontal = Ellipsoid((9, -88, -2), (10 * s, 4.6, 10 * s))
    ethmoid = Ellipsoid((10, -62, -32), (7.5, 21, 10), 0.0, 3.0)
    sphenoid = Ellipsoid((7.5, -31, -36), (7.5 * s, 10 * s, 8.5 * s), 0.0, 2.5)
    canvas.paint(THIN_BONE, maxillary, grow_mm=2.2, mirrored=True, rough_mm=0.9)
    canvas.paint(CORTICAL_BONE, frontal, grow_mm=2.6, mirrored=True, rough_mm=1.3)
    canvas.paint(THIN_BONE, ethmoid, grow_mm=0.9, mirrored=True)
    for sinus, lining in ((maxillary, 0.9), (frontal, 0.4), (sphenoid, 0.5)):
        canvas.paint(MUCOSA, sinus, grow_mm=lining, mirrored=True, rough_mm=0.9)
        canvas.paint(AIR, sinus, mirrored=True, rough_mm=1.0)
    for part in (cavity, roof):
        canvas.paint(AIR, part, mirrored=True)
    canvas.paint(AIR, Tube([(6.5, -88, -66), (7, -101, -65), (8, -109, -69)], [5, 4.6, 4.0]), mirrored=True)  # nostril
    canvas.paint(MUCOSA, Tube([(10, -84, -65), (9, -66, -66), (9.5, -42, -64)], [3.0, 4.7, 3.8]), mirrored=True)
    canvas.paint(MUCOSA, Tube([(8, -78, -54), (8, -60, -55), (8.5, -42, -54)], [2.0, 3.0, 2.2]), mirrored=True)
    canvas.paint(THIN_BONE, Tube([(12, -80, -65), (10, -66, -65), (11, -44, -63)], [0.6, 0.8, 0.6]), mirrored=True)
    for z_mm, front, back in (
        (-42, -88, -40),
        (-48, -94, -38),
        (-54, -100, -36),
        (-60, -106, -36),
        (-66, -108, -36),
        (-70, -104, -38),
    ):
        canvas.paint(MUCOSA, Tube([(0, front, z_mm), (0.6, -70, z_mm), (0, back, z_mm)], [2.6, 2.0, 1.8]))
    canvas.paint(THIN_BONE, Tube([(0, -72, -40), (0.6, -60, -56), (0, -42, -70)], [0.6, 0.7, 0.7]))
    _paint_cells(canvas, ethmoid, patient.rng(6), 8.0, 0.55)
    mastoid = Tube([(58, 19, -40), (56, 20, -54), (53, 18, -62)], [9.5 * patient.mastoid, 8.5 * patient.mastoid, 3.5])
    _paint_cells(canvas, mastoid, patient.rng(7), 5.5, 0.75)


def _paint_cells(
    canvas: Canvas, region: Tube | Ellipsoid, rng: np.random.Generator, cell_mm: float, wall_mm: float
) -> None:
    """Air cells with thin walls: the labyrinth of random sheets is the walls."""
    spacing = 1.2
    walls = sheet_distance(rng, 72.0, spacing, 2 * cell_mm)
    lower, upper = region.bounds()
    for side in (1.0, -1.0):
        ends = np.sort(np.array([lower[0], upper[0]]) * side)
        box = canvas.box((ends[0], *lower[1:]), (ends[1], *upper[1:]), canvas.spacing_mm)
        x, y, z = canvas.coordinates(box)
        index = [np.round(np.asarray(v, float) / spacing).astype(int) % walls.shape[0] for v in (z, y, x)]
        distance = np.maximum(region.distance(x * side, y, z), wall_mm - np.abs(walls[index[0], index[1], index[2]]))
        canvas.fill(AIR, distance, box)
