"""One patient: the anatomy painted once, then seen by an MR and by a CT scanner."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import image_like
from synthct.phantom import brain, face, immobilisation, metal, mouth, neck, scan, skull
from synthct.phantom.anatomy_frame import LANDMARKS, AnatomyMap, rigid_transform, scanner_to_anatomy
from synthct.phantom.canvas import Canvas
from synthct.phantom.parameters import PatientParameters
from synthct.phantom.tissue_properties import AIR, T1_SEED, Contrast
from synthct.tuples import triple_of

COMMON_DIRECTION = np.array((0.0, 1.0, 1.0)) / np.sqrt(2)  # posterior and superior (LPS)
COMMON_AXIS = np.array((1.0, 0.0, 0.0))  # of a nod


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
        misalignment_common: whether jaw, neck and the whole CT move the same way in every patient, as a mask, a coil or
            a protocol may do; a sign and a direction of each patient's own otherwise. The common direction is
            posterior and superior, the common rotation a nod.
        rigid_offset_mm, rigid_offset_deg: by which the whole CT is moved, in a random direction unless it is common.
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
    misalignment_common: bool = False

    def __post_init__(self) -> None:
        if not self.voxel_scale > 0:
            raise ValueError(f"voxel_scale must be positive, got {self.voxel_scale}")
        for name in ("seed", "misalignment_mm", "mask_lift_mm"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.fillings <= len(metal.CROWNS):
            raise ValueError(f"fillings must be 0 to {len(metal.CROWNS)}, got {self.fillings}")


DEFAULTS = PhantomOptions()


@dataclass(frozen=True, eq=False)
class PaintedPatient:
    """A patient's anatomy, painted once, to be scanned as often as wanted.

    ``seed``, ``voxel_scale`` and ``contrast`` are settled by the painting; the scans take the other options.
    """

    parameters: PatientParameters
    canvas: Canvas
    voxel_scale: float

    @staticmethod
    def paint(index: int, options: PhantomOptions = DEFAULTS) -> "PaintedPatient":
        """Paint patient ``index`` (any integer from 0) of a phantom population."""
        if index < 0:
            raise ValueError(f"index must be 0 or more, got {index}")
        parameters = PatientParameters.draw(index, options.seed)
        canvas = paint_anatomy(parameters, options.contrast, options.voxel_scale)
        return PaintedPatient(parameters, canvas, options.voxel_scale)

    @cached_property
    def anatomy(self) -> AnatomyMap:
        """From the MR's physical points to the painting."""
        return AnatomyMap(self.parameters)

    def scan_mr(self, options: PhantomOptions = DEFAULTS) -> tuple[sitk.Image, sitk.Image]:
        """The MR and the true head on its grid; the same whatever the CT's options are."""
        grid = scan.mr_grid(self.voxel_scale)
        transform = scanner_to_anatomy(self.anatomy, *scan.grid_bounds(grid))
        signal, outside = scan.sample(self.canvas, [self.canvas.signal], grid, transform)
        values = scan.acquire_mr(
            signal, grid.GetSpacing(), self.parameters, bias_strength=options.bias_strength, noise=options.mr_noise
        )
        return image_like(grid, values), image_like(grid, (outside < 0).astype(np.uint8))

    def scan_ct(self, options: PhantomOptions = DEFAULTS) -> tuple[sitk.Image, sitk.Image]:
        """The CT and the true head on its grid, misaligned as the options say."""
        grid, rigid = scan.ct_grid(self.voxel_scale), rigid_offset(self.parameters, options)
        moved = AnatomyMap(self.parameters.with_common_signs()) if options.misalignment_common else self.anatomy
        transform = scanner_to_anatomy(
            moved, *scan.grid_bounds(grid), rigid=rigid, misalignment_mm=options.misalignment_mm
        )
        volumes = [self.canvas.hu - AIR.hu, self.canvas.texture]
        above_air, texture, outside = scan.sample(self.canvas, volumes, grid, transform)
        hu = above_air + np.float32(AIR.hu)
        around = immobilisation.HeadInAir(hu, outside, grid)
        if options.table:
            immobilisation.lay_couch(around)
        if options.thermoplastic_mask:
            immobilisation.lay_thermoplastic_mask(around, self.parameters, options.mask_lift_mm)
        if options.head_holder:
            immobilisation.lay_head_holder(around, self.parameters)
        if options.fillings:
            in_mr = self.anatomy.to_physical(np.array(metal.CROWNS[: options.fillings]))
            crowns = np.array([rigid.TransformPoint(point.tolist()) for point in in_mr])
            metal.add_fillings(hu, grid, crowns, self.parameters)
        values = scan.acquire_ct(hu, texture, grid.GetSpacing(), self.parameters, noise_hu=options.ct_noise_hu)
        return image_like(grid, values), image_like(grid, (outside < 0).astype(np.uint8))


def rigid_offset(patient: PatientParameters, options: PhantomOptions) -> sitk.Euler3DTransform:
    """By which the whole CT is moved: from physical points of the MR to those of the CT (LPS, mm)."""
    if options.misalignment_common:
        directions = np.stack([COMMON_DIRECTION, COMMON_AXIS])
    else:
        directions = patient.rng(23).standard_normal((2, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shift_mm, turn_deg = options.rigid_offset_mm * directions[0], options.rigid_offset_deg * directions[1]
    return rigid_transform(tuple(shift_mm), tuple(turn_deg))


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
    painted = PaintedPatient.paint(index, options)
    mr, mr_head_mask = painted.scan_mr(options)
    ct, ct_head_mask = painted.scan_ct(options)
    points = painted.anatomy.to_physical(np.array(list(LANDMARKS.values())))
    landmarks = {name: triple_of(map(float, point)) for name, point in zip(LANDMARKS, points, strict=True)}
    return PhantomPatient(mr, ct, mr_head_mask, ct_head_mask, landmarks, rigid_offset(painted.parameters, options))
