"""The outer head and the cranium: skin, fat, muscle, the skull's two tables and the marrow between them."""

from dataclasses import dataclass

import numpy as np

from synthct.phantom import outlines
from synthct.phantom.canvas import Canvas, Ellipsoid, Tube
from synthct.phantom.fields import (
    Axes,
    Volume,
    loft,
    resample_volume,
    smooth_minimum,
    smooth_noise,
    smooth_step,
)
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.tissue_properties import AIR, CARTILAGE, CORTICAL_BONE, CSF, DIPLOE, FAT, MUSCLE, SKIN
from synthct.tuples import triple_of

COARSE_MM = 2.2
"""The large smooth surfaces are drawn at this spacing and interpolated: their features are far larger."""


@dataclass(frozen=True)
class HeadSurfaces:
    """Signed distances (mm, negative inside) on the canvas grid."""

    skin: Volume
    skull: Volume
    cavity: Volume


def head_surfaces(axes: Axes, patient: PatientParameters) -> HeadSurfaces:
    """Cranial cavity from its outlines, skull around it with varying thickness, skin around skull, face and neck."""
    coarse = triple_of(np.arange(a[0] - COARSE_MM, a[-1] + 2 * COARSE_MM, COARSE_MM, dtype=np.float32) for a in axes)
    x, y, z = coarse[0][None, None, :], coarse[1][None, :, None], coarse[2][:, None, None]
    rng = patient.rng(1)
    cavity = loft(outlines.CRANIAL_CAVITY, outlines.CAVITY_HALF_WIDTH_MM, coarse)
    face = loft(outlines.FACE_AND_NECK, outlines.HEAD_HALF_WIDTH_MM, coarse)

    # Thick at the occiput and the forehead, thin at the temples and under the brain.
    thickness = patient.skull_mm * (1.0 + 0.12 * smooth_noise(rng, coarse, 28.0))
    thickness *= 1.0 - 0.42 * smooth_step(np.abs(x), 48, 64) * smooth_step(z, 35, 10)
    thickness *= 1.0 - 0.30 * smooth_step(z, -15, -40) * smooth_step(y, 70, 40)
    thickness += 4.0 * np.exp(-((y - 86) ** 2 + (z + 28) ** 2) / 250 - x**2 / 500)
    thickness += 2.5 * np.exp(-((y + 86) ** 2) / 300 - z**2 / 500 - x**2 / 500)
    skull = cavity - thickness
    scalp = patient.scalp_mm * (1.0 + 0.12 * smooth_noise(rng, coarse, 35.0))
    # The temporal fossa is filled by the temporalis, the nape by muscle.
    scalp = scalp + 5.0 * np.exp(-((y + 28) ** 2) / 700 - (z + 8) ** 2 / 900) * smooth_step(np.abs(x), 45, 60)
    vault = skull - scalp
    skin = smooth_minimum(vault, face, 10.0)
    return HeadSurfaces(*(resample_volume(field, coarse, axes) for field in (skin, skull, cavity)))


def paint_soft_head(canvas: Canvas, surfaces: HeadSurfaces, patient: PatientParameters) -> None:
    """Skin, subcutaneous fat and the muscle under it; everything else is laid over these."""
    x, y, z = canvas.coordinates((slice(None),) * 3)
    rng = patient.rng(2)
    skin = surfaces.skin
    np.minimum(canvas.outside, skin, out=canvas.outside)
    canvas.fill(SKIN, skin)
    canvas.fill(FAT, skin + 1.7)
    # Fat is thick in the cheek, the chin and the nape, thin on the nose; the vault's whole scalp is mostly fat.
    fat = 3.5 + 3.0 * smooth_step(y, 20, 60) + 3.0 * np.exp(-((y + 62) ** 2) / 500 - (z + 70) ** 2 / 900)
    fat = fat + 1.5 * smooth_noise(rng, canvas.axes, 14.0)
    muscle = skin + fat
    temporalis = np.maximum(np.maximum(skin + 3.6, 52.0 - np.abs(x)), np.sqrt((y + 28) ** 2 + (z + 14) ** 2) - 44.0)
    below = np.maximum(muscle, z + 34.0 + 0.25 * y)
    canvas.fill(MUSCLE, np.minimum(below, temporalis))
    # Fat between the muscles: a loose web, in sheets rather than everywhere.
    web = smooth_noise(rng, canvas.axes, 11.0)
    canvas.fill(FAT, np.maximum(np.abs(web - 0.9) * 5.0 - 0.8, below), opacity=0.3)


def paint_cranium(canvas: Canvas, surfaces: HeadSurfaces, patient: PatientParameters) -> None:
    """Outer table, diploe, inner table; the foramen magnum stays open."""
    x, y, z = canvas.coordinates((slice(None),) * 3)
    rng = patient.rng(3)
    foramen = 15.0 - np.sqrt(x**2 + ((y - 19.0) / 1.15) ** 2) + 0.0 * z
    foramen = np.where(z < -48.0, foramen, -50.0)
    bone = np.maximum(surfaces.skull, foramen)
    canvas.fill(CORTICAL_BONE, bone)
    table = 1.5 + 0.35 * smooth_noise(rng, canvas.axes, 9.0)
    marrow = np.maximum(bone + table, -(surfaces.cavity - table * 0.85))
    canvas.fill(DIPLOE, marrow)
    canvas.fill(CSF, surfaces.cavity)


def paint_ears(canvas: Canvas, patient: PatientParameters) -> None:
    """Pinna (a cupped sheet of cartilage under skin) and the ear canal."""
    size = patient.ear
    for tissue, grow in ((SKIN, 0.0), (CARTILAGE, -1.0)):
        for shape in (
            Tube(
                [(70, 4, -52), (79, 10, -52), (84, 17, -40), (86, 19, -26), (83, 12, -14), (76, 2, -16)],
                [3.0, 2.6, 2.3, 2.3, 2.3, 2.0],
            ),
            Tube([(73, 12, -46), (77, 15, -34), (78, 14, -22)], [2.2, 2.4, 2.0]),
            Tube([(75, 12, -50), (80, 15, -34), (79, 12, -20)], [3.0 * size, 2.0 * size, 1.8 * size]),
            Tube([(72, -2, -42), (74, -2, -36)], [2.6, 2.2]),
        ):
            canvas.paint(tissue, shape, grow_mm=grow, mirrored=True)
            if grow == 0.0:
                lower, upper = shape.bounds()
                for side in (1.0, -1.0):
                    ends = np.sort(np.array([lower[0], upper[0]]) * side)
                    box = canvas.box((ends[0], *lower[1:]), (ends[1], *upper[1:]), 6.0)
                    px, py, pz = canvas.coordinates(box)
                    np.minimum(canvas.outside[box], shape.distance(px * side, py, pz), out=canvas.outside[box])
    canvas.paint(AIR, Tube([(78, 6, -38), (66, 5, -38), (54, 3, -36)], [4.0, 2.6, 2.6]), mirrored=True)
    canvas.paint(AIR, Ellipsoid((50, 2, -35), (3.5, 4, 5)), mirrored=True)
