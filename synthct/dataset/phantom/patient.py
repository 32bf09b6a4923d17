"""One patient: the anatomy painted once, then seen by an MR and by a CT scanner."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from synthct.dataset.phantom import brain, face, mouth, neck, scan, skull
from synthct.dataset.phantom.canvas import Canvas
from synthct.dataset.phantom.geometry import LANDMARKS, AnatomyMap, rigid_transform, scanner_to_anatomy
from synthct.dataset.phantom.parameters import PatientParameters
from synthct.dataset.phantom.tissues import AIR, T1_SEED, GradientEcho


@dataclass(frozen=True)
class PhantomPatient:
    """A pair of scans of one made-up patient, in one physical frame (LPS, mm).

    ``mr`` and ``ct`` are int16 (scanner units, HU). The masks (uint8) are the true head with its internal air, each on
    its scan's grid; couch and immobilisation mask are outside. ``landmarks_mm`` are in the MR's frame; ``rigid`` maps
    physical points of the MR to those of the CT.
    """

    mr: sitk.Image
    ct: sitk.Image
    mr_head_mask: sitk.Image
    ct_head_mask: sitk.Image
    landmarks_mm: dict[str, tuple[float, float, float]]
    rigid: sitk.Euler3DTransform


def paint_anatomy(patient: PatientParameters, contrast: GradientEcho, voxel_scale: float) -> Canvas:
    """The whole head in its own frame; later layers cover earlier ones."""
    canvas = Canvas(scan.canvas_axes(voxel_scale), contrast, patient.rng(9))
    surfaces = skull.head_surfaces(canvas.axes, patient)
    skull.paint_soft_head(canvas, surfaces, patient)
    neck.paint_neck(canvas, patient)
    skull.paint_cranium(canvas, surfaces, patient)
    face.paint_skull_base(canvas, patient)
    face.paint_orbits(canvas, patient)
    mouth.paint_jaws(canvas, patient)
    mouth.paint_mouth_and_throat(canvas, patient)
    face.paint_nose_and_sinuses(canvas, patient)
    skull.paint_ears(canvas, patient)
    brain.paint_brain(canvas, surfaces, patient)
    return canvas


def make_phantom_patient(
    index: int,
    *,
    seed: int = 0,
    voxel_scale: float = 1.0,
    misalignment_mm: float = 3.0,
    rigid_offset_mm: float = 0.0,
    rigid_offset_deg: float = 0.0,
    contrast: GradientEcho = T1_SEED,
    bias_strength: float = 0.10,
    mr_noise: float = 22.0,
    ct_noise_hu: float = 11.0,
    table: bool = True,
    thermoplastic_mask: bool = True,
) -> PhantomPatient:
    """Makes patient ``index`` (any integer from 0) of the phantom population ``seed``.

    ``voxel_scale`` multiplies every voxel edge at the same field of view (1: MR 183 x 288 x 288 of 1.00 x 0.87 x
    0.87 mm). ``misalignment_mm`` is the largest local displacement of jaw, neck and throat between the scans;
    ``rigid_offset_mm`` and ``rigid_offset_deg`` move the whole CT by that much in a random direction. ``mr_noise`` is
    the SD of either channel in scanner units, ``ct_noise_hu`` in HU.
    """
    if not voxel_scale > 0:
        raise ValueError(f"voxel_scale must be positive, got {voxel_scale}")
    if misalignment_mm < 0:
        raise ValueError(f"misalignment_mm must be 0 or more, got {misalignment_mm}")
    if index < 0 or seed < 0:
        raise ValueError(f"index and seed must be 0 or more, got index {index}, seed {seed}")
    patient = PatientParameters.draw(index, seed)
    canvas = paint_anatomy(patient, contrast, voxel_scale)
    anatomy = AnatomyMap(patient)
    rigid = _rigid_offset(patient, rigid_offset_mm, rigid_offset_deg)
    mr, mr_head_mask = _scan_mr(canvas, anatomy, voxel_scale, bias_strength, mr_noise)
    ct, ct_head_mask = _scan_ct(
        canvas, anatomy, voxel_scale, rigid, misalignment_mm, ct_noise_hu, table, thermoplastic_mask
    )
    points = anatomy.to_physical(np.array(list(LANDMARKS.values())))
    landmarks = {name: tuple(float(v) for v in point) for name, point in zip(LANDMARKS, points, strict=True)}
    return PhantomPatient(mr, ct, mr_head_mask, ct_head_mask, landmarks, rigid)


def _rigid_offset(patient: PatientParameters, offset_mm: float, offset_deg: float) -> sitk.Euler3DTransform:
    rng = patient.rng(23)
    directions = rng.standard_normal((2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return rigid_transform(tuple(offset_mm * directions[0]), tuple(offset_deg * directions[1]))


def _scan_mr(
    canvas: Canvas, anatomy: AnatomyMap, voxel_scale: float, bias_strength: float, noise: float
) -> tuple[sitk.Image, sitk.Image]:
    grid = scan.mr_grid(voxel_scale)
    transform = scanner_to_anatomy(anatomy, *scan.grid_bounds(grid))
    signal, outside = scan.sample(canvas, [canvas.signal], grid, transform)
    values = scan.acquire_mr(signal, grid.GetSpacing(), anatomy.patient, bias_strength=bias_strength, noise=noise)
    return _image(values, grid), _image((outside < 0).astype(np.uint8), grid)


def _scan_ct(
    canvas: Canvas,
    anatomy: AnatomyMap,
    voxel_scale: float,
    rigid: sitk.Euler3DTransform,
    misalignment_mm: float,
    noise_hu: float,
    table: bool,
    mask: bool,
) -> tuple[sitk.Image, sitk.Image]:
    grid = scan.ct_grid(voxel_scale)
    transform = scanner_to_anatomy(anatomy, *scan.grid_bounds(grid), rigid=rigid, misalignment_mm=misalignment_mm)
    above_air, texture, outside = scan.sample(canvas, [canvas.hu - AIR.hu, canvas.texture], grid, transform)
    hu = above_air + np.float32(AIR.hu)
    scan.add_immobilisation(hu, outside, grid, anatomy.patient, table=table, mask=mask)
    values = scan.acquire_ct(hu, texture, grid.GetSpacing(), anatomy.patient, noise_hu=noise_hu)
    return _image(values, grid), _image((outside < 0).astype(np.uint8), grid)


def _image(array: np.ndarray, grid: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(grid)
    return image
