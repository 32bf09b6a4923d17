"""The brain: folded cortex, white matter, ventricles, deep nuclei, cerebellum and brain stem."""

import numpy as np
from scipy import ndimage

from synthct.phantom.canvas import Canvas, Ellipsoid, Tube
from synthct.phantom.fields import sheet_distance, smooth_noise, smooth_step
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.skull import HeadSurfaces
from synthct.phantom.tissue_properties import CSF, DEEP_GREY, DURA, GREY_MATTER, SPINAL_CORD, WHITE_MATTER

FOLD_GRID_MM = 1.7
FOLD_EXTENT_MM = 130.0


def paint_brain(canvas: Canvas, surfaces: HeadSurfaces, patient: PatientParameters) -> None:
    """Fills the cranial cavity, outside in."""
    box = canvas.box((-74, -94, -72), (74, 96, 84))
    x, y, z = canvas.coordinates(box)
    depth = -surfaces.cavity[box]
    rng = patient.rng(4)
    canvas.fill(DURA, np.abs(depth + 0.2) - 0.6, box)

    # Tentorium: the cerebrum above, the cerebellum below; it rises towards the notch.
    tent = z - (-24.0 + 20.0 * np.exp(-((y - 22.0) ** 2) / 1100 - x**2 / 420) - 0.10 * (y - 60))
    behind = smooth_step(y, 2, 14)
    cerebrum = -(depth - 1.2 - 0.8 * patient.atrophy)
    posterior_fossa = np.where(y > 8, 1.6 - tent, np.where(np.abs(x) < 22, -z - 30.0, -1e3)) + 0.0 * depth
    cerebrum = np.maximum(cerebrum, posterior_fossa * behind + (1 - behind) * np.minimum(posterior_fossa, 60))
    cerebrum = np.maximum(cerebrum, 0.6 + 0.5 * patient.atrophy - np.abs(x))

    sulci = _sulci(x, y, z, rng)
    ventricles_clear = smooth_step(np.sqrt((x / 30) ** 2 + ((y - 4) / 48) ** 2 + ((z - 10) / 24) ** 2), 0.9, 1.25)
    reach = 17.0 + 4.0 * smooth_noise(rng, _axes(canvas, box), 22.0)
    below_surface = np.minimum(-cerebrum, 60.0)
    groove = 0.55 + 0.55 * patient.atrophy - 0.9 * smooth_step(below_surface, 4.0, reach)
    sulcus = np.abs(sulci) - groove
    ribbon = 2.6 + 0.25 * smooth_noise(rng, _axes(canvas, box), 10.0)
    fold_depth = below_surface - reach * ventricles_clear
    grey_inner = np.minimum(
        below_surface - ribbon, np.abs(sulci) - groove - ribbon + 5 * smooth_step(fold_depth, -3, 3)
    )
    canvas.fill(GREY_MATTER, cerebrum, box)
    canvas.fill(WHITE_MATTER, np.maximum(-grey_inner, cerebrum), box)
    canvas.fill(CSF, np.maximum(np.maximum(sulcus, fold_depth + 1.0), cerebrum - 0.5), box)
    _paint_midline(canvas, patient)
    _paint_cerebellum(canvas, surfaces, patient)
    x1 = np.maximum(np.abs(x) - 0.5, np.maximum(-depth, 24 - np.sqrt((y - 2) ** 2 + (z - 0) ** 2) * (z > -20)))
    canvas.fill(DURA, np.maximum(x1, -18 - z - 0.12 * y), box)
    canvas.fill(
        DURA,
        np.maximum(np.maximum(np.abs(tent) - 0.6, 14 - y), np.maximum(-depth, 17 - np.abs(x) - 0.5 * (y - 14))),
        box,
    )


def _axes(canvas: Canvas, box: tuple[slice, slice, slice]) -> tuple:
    return tuple(axis[s] for axis, s in zip(canvas.axes, box[::-1], strict=True))


def _sulci(x: np.ndarray, y: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Signed distance (mm) to the sulcal sheets, made to stand on the brain's surface.

    The labyrinth is sampled at a point pushed outwards, towards the surface of an ellipsoid, so that it changes more
    slowly along the depth than along the surface.
    """
    labyrinth = sheet_distance(rng, FOLD_EXTENT_MM, FOLD_GRID_MM, 18.5)
    radius = np.sqrt((x / 66) ** 2 + (y / 86) ** 2 + (z / 74) ** 2) + 0.05
    push = radius ** np.float32(-0.55)
    points = np.stack(np.broadcast_arrays(z * push, y * push, (x + 7 * np.sign(x)) * push)).astype(np.float32)
    return ndimage.map_coordinates(labyrinth, points / FOLD_GRID_MM, order=1, mode="grid-wrap")


def _paint_midline(canvas: Canvas, patient: PatientParameters) -> None:
    """Corpus callosum, deep nuclei, ventricles, brain stem."""
    v = patient.ventricles
    canvas.paint(CSF, Ellipsoid((0, -6, -20), (13, 16, 9)))  # suprasellar and interpeduncular cisterns
    arch = [(0, -26, 2), (0, -34, 10), (0, -26, 20), (0, -6, 26), (0, 16, 25), (0, 32, 18), (0, 36, 11)]
    canvas.paint(CSF, Tube([(p[0], p[1] * 1.1, p[2] * 1.12 + 1) for p in arch], [4] * 7))
    for offset in (0.0, 7.0, 14.0, 20.0):
        canvas.paint(
            WHITE_MATTER,
            Tube([(offset, y, z - 0.02 * offset**2) for _, y, z in arch], [2.2, 4.4, 3.2, 3.0, 3.2, 4.8, 4.0]),
            mirrored=True,
        )
    gap = 1.2 + 0.6 * patient.atrophy
    for tissue, rim in ((GREY_MATTER, 2.6), (CSF, 0.0)):  # Sylvian fissure with the insula in its depth
        fissure = Ellipsoid((51, -8, 1), (15 + rim, 26 + rim, gap + rim), -14)
        insula = Ellipsoid((37, -8, 4), (1.2 + rim, 19 + rim, 11 + rim))
        canvas.paint(tissue, fissure, mirrored=True)
        canvas.paint(tissue, insula, mirrored=True)
    canvas.paint(DEEP_GREY, Ellipsoid((11, 4, 5), (9.5, 15, 9), 10), mirrored=True)  # thalamus
    canvas.paint(DEEP_GREY, Ellipsoid((25, -8, 3), (6, 17, 10), 5), mirrored=True)  # putamen
    canvas.paint(DEEP_GREY, Ellipsoid((18, -6, 2), (4, 9, 6)), mirrored=True)  # pallidum
    canvas.paint(WHITE_MATTER, Tube([(14, -18, 2), (18.5, -2, 3), (20, 16, 5)], [2.2, 2.0, 2.4]), mirrored=True)
    canvas.paint(DEEP_GREY, Ellipsoid((14, -20, 8), (6, 10, 8)), mirrored=True)  # caudate head
    canvas.paint(DEEP_GREY, Tube([(14, -12, 14), (19, 4, 18), (22, 18, 16)], [4.5, 3, 2]), mirrored=True)
    lateral = [(6, -30, 8), (8, -18, 13), (8, -2, 17), (12, 16, 16), (21, 32, 9)]
    canvas.paint(CSF, Tube(lateral, [2.5 * v, 4.3 * v, 3.8 * v, 4.4 * v, 5.4 * v]), mirrored=True)
    canvas.paint(CSF, Tube([(12, -26, 7), (12, -16, 13), (14, 0, 17)], [2.0 * v, 2.4 * v, 2.2 * v]), mirrored=True)
    canvas.paint(CSF, Tube([(21, 32, 9), (23, 48, 6), (19, 60, 5)], [5.4 * v, 3.6 * v, 0.8]), mirrored=True)
    canvas.paint(
        CSF, Tube([(23, 31, 6), (30, 24, -8), (33, 8, -18), (32, -8, -24)], [4.6 * v, 2.6, 2.0, 1.6]), mirrored=True
    )
    canvas.paint(
        DEEP_GREY, Tube([(27, 24, -8), (29, 8, -21), (25, -8, -25), (21, -14, -24)], [2.6, 3.2, 4, 6]), mirrored=True
    )
    canvas.paint(CSF, Ellipsoid((0, 2, 0), (1.6 * v, 14, 9), 15))  # third ventricle
    stem = Tube(
        [(0, 6, -8), (0, 5, -18), (0, 7, -28), (0, 8, -38), (0, 13, -52), (0, 19, -66), (0, 21, -76)],
        [11, 13, 14, 14, 9, 6.8, 6.2],
    )
    canvas.paint(CSF, stem, grow_mm=4.0)
    canvas.paint(SPINAL_CORD, stem)
    canvas.paint(SPINAL_CORD, Ellipsoid((0, 2, -36), (16, 11, 12)))  # pons
    canvas.paint(SPINAL_CORD, Tube([(3, 17, -10), (3, 18, -19)], [4.2, 4.0]), mirrored=True)  # colliculi
    canvas.paint(
        CSF, Tube([(0, 11, -6), (0, 14, -20), (0, 19, -30), (0, 23, -40), (0, 22, -50)], [1.2, 1.0, 2.5, 4.6, 1.5])
    )


def _paint_cerebellum(canvas: Canvas, surfaces: HeadSurfaces, patient: PatientParameters) -> None:
    """Hemispheres, vermis and tonsils with folia: thin parallel leaves on a white core."""
    box = canvas.box((-58, 14, -72), (58, 84, -6))
    x, y, z = canvas.coordinates(box)
    depth = -surfaces.cavity[box]
    tent = -24.0 + 20.0 * np.exp(-((y - 22.0) ** 2) / 1100 - x**2 / 420) - 0.10 * (y - 60) - 1.8
    front = 9.5 + 14.0 * smooth_step(np.abs(x), 16, 6) - y
    notch = 5.0 - np.sqrt(x**2 + ((y - 84) / 2.2) ** 2) + 0.0 * z
    body = np.maximum(np.maximum(np.maximum(front, 2.0 - depth), z - tent), np.where(z < -30, notch, -9.0))
    # The tonsils end above the foramen magnum; below it is the cisterna magna.
    body = np.maximum(body, -63.0 + 0.25 * (y - 30) - z + 0.05 * np.abs(x))
    fourth = 4.0 - np.sqrt(x**2 + (y - 22) ** 2 + (z + 38) ** 2)
    body = np.maximum(body, fourth)
    angle = np.arctan2(z + 38, y - 26)
    wobble = smooth_noise(patient.rng(5), _axes(canvas, box), 9.0)
    leaves = np.cos(angle * 17.0 + 2.0 * wobble + 0.11 * np.abs(x))
    canvas.fill(GREY_MATTER, body, box)
    core = np.maximum(body + 7.0, 0) + 0 * leaves
    branches = np.where(body < -1.6, 0.30 - leaves - 0.10 * np.clip(-body - 4, 0, 14), 2.0)
    canvas.fill(WHITE_MATTER, np.maximum(branches * 1.6, core - 6.5), box, 0.85)
    canvas.fill(WHITE_MATTER, np.sqrt((np.abs(x) - 15) ** 2 * 0.5 + (y - 38) ** 2 + (z + 40) ** 2) - 9.0 + wobble, box)
    canvas.fill(CSF, np.maximum((leaves + 0.90) * 3.0, np.maximum(body, -body - 7.0)), box, 0.6)
    canvas.paint(DEEP_GREY, Ellipsoid((14, 36, -40), (6, 5, 4)), mirrored=True)
