"""One patient: the anatomy painted once, then seen by an MR and by a CT scanner."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk

from synthct.phantom import brain, face, immobilisation, metal, mouth, neck, scan, skull
from synthct.phantom.anatomy_frame import LANDMARKS, AnatomyMap, rigid_transform, scanner_to_anatomy
from synthct.phantom.canvas import Canvas
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.tissue_properties import AIR, T1_SEED, Contrast


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


def paint_anatomy(patient: PatientParameters, contrast: Contrast, voxel_scale: float) -> Canvas:
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


@dataclass(frozen=True)
class PhantomOptions:
    """How phantom patients are made and scanned.

    Attributes:
        seed: of the population; another seed, other patients.
        voxel_scale: multiplies every voxel edge at the same field of view (1: MR 183 x 288 x 288 of 1.00 x 0.87 x
            0.87 mm).
        misalignment_mm: largest local displacement of jaw, neck and throat between the scans.
        rigid_offset_mm, rigid_offset_deg: by which the whole CT is moved in a random direction.
        contrast: of the MR.
        bias_strength: of its shading.
        mr_noise: SD of either channel, scanner units. ct_noise_hu: SD, HU.
        table, thermoplastic_mask: whether the CT shows them.
        mask_lift_mm: mean gap between skin and thermoplastic mask (0: pressed on the skin).
        head_holder: whether the head lies in the trough of a diagnostic scanner with cushions and a strap.
        fillings: number of teeth (0 to 8) with metal that draws streaks through the CT.
    """

    seed: int = 0
    voxel_scale: float = 1.0
    misalignment_mm: float = 3.0
    rigid_offset_mm: float = 0.0
    rigid_offset_deg: float = 0.0
    contrast: Contrast = T1_SEED
    bias_strength: float = 0.10
    mr_noise: float = 22.0
    ct_noise_hu: float = 11.0
    table: bool = True
    thermoplastic_mask: bool = True
    mask_lift_mm: float = 1.0
    head_holder: bool = False
    fillings: int = 0

    def __post_init__(self) -> None:
        if not self.voxel_scale > 0:
            raise ValueError(f"voxel_scale must be positive, got {self.voxel_scale}")
        for name in ("seed", "misalignment_mm", "mask_lift_mm"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.fillings <= len(metal.CROWNS):
            raise ValueError(f"fillings must be 0 to {len(metal.CROWNS)}, got {self.fillings}")


DEFAULTS = PhantomOptions()


def make_phantom_patient(index: int, options: PhantomOptions = DEFAULTS, **changes: Any) -> PhantomPatient:
    """Make patient ``index`` (any integer from 0) of a phantom population.

    Args:
        index: of the patient.
        options: how it is made.
        changes: other values of the options, by name.

    Raises:
        ValueError: an option is out of range.
    """
    options = replace(options, **changes)
    if index < 0:
        raise ValueError(f"index must be 0 or more, got {index}")
    patient = PatientParameters.draw(index, options.seed)
    canvas = paint_anatomy(patient, options.contrast, options.voxel_scale)
    anatomy = AnatomyMap(patient)
    rigid = _rigid_offset(patient, options.rigid_offset_mm, options.rigid_offset_deg)
    mr, mr_head_mask = _scan_mr(canvas, anatomy, options.voxel_scale, options.bias_strength, options.mr_noise)
    in_ct = scan.ct_grid(options.voxel_scale)
    transform = scanner_to_anatomy(
        anatomy, *scan.grid_bounds(in_ct), rigid=rigid, misalignment_mm=options.misalignment_mm
    )
    above_air, texture, outside = scan.sample(canvas, [canvas.hu - AIR.hu, canvas.texture], in_ct, transform)
    hu = above_air + np.float32(AIR.hu)
    around = immobilisation.HeadInAir(hu, outside, in_ct)
    if options.table:
        immobilisation.lay_couch(around)
    if options.thermoplastic_mask:
        immobilisation.lay_thermoplastic_mask(around, patient, options.mask_lift_mm)
    if options.head_holder:
        immobilisation.lay_head_holder(around, patient)
    if options.fillings:
        in_mr = anatomy.to_physical(np.array(metal.CROWNS[: options.fillings]))
        crowns = np.array([rigid.TransformPoint(point.tolist()) for point in in_mr])
        metal.add_fillings(hu, in_ct, crowns, patient)
    ct = _image(scan.acquire_ct(hu, texture, in_ct.GetSpacing(), patient, noise_hu=options.ct_noise_hu), in_ct)
    ct_head_mask = _image((outside < 0).astype(np.uint8), in_ct)
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


def _image(array: np.ndarray, grid: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(grid)
    return image
