"""Augmentation of a batch on its device: MRs as other scanners show them, and heads that lie in other ways.

Numbers are drawn first, then applied. They are drawn on the CPU, whatever the device of the images, so that they are
the same everywhere and nothing waits for the device. Gamma, contrast, blur and noise follow nnU-Net (Isensee et al.
2021); the field is that of coils; rotations and scales are those of heads in a scanner, and smaller than nnU-Net's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, interpolate

from synthct.imaging.planes import Plane, left_right_axis

GAMMA = (0.7, 1.5)
CONTRAST = (0.75, 1.25)  # factor about the mean
LOG_FIELD = (-0.3, 0.3)  # of the field's factor at its points
FIELD_POINTS = 4  # along rows and cols
BLUR_PIXELS = (0.5, 1.0)  # SD of a Gaussian
BLUR_REACH = 3  # pixels on each side
NOISE = (0.0, 0.2)  # SD, in the MR's units: in a standardised MR the SD of a head is 1
ROTATION_DEGREES = (-10.0, 10.0)
SCALE = (0.9, 1.1)


@dataclass(frozen=True)
class IntensityChanges:
    """What is done to the MRs of a batch, on the CPU; without ``noise`` (images, MR channels, ...).

    Attributes:
        log_field: of the field's factor, at points spread evenly over rows and cols (..., points, points); 0: none.
        gamma, contrast: 1: none.
        blur_pixels: 0: none.
        noise: to be added, (images, slices, MR channels, rows, cols); None: none.
    """

    log_field: Tensor
    gamma: Tensor
    contrast: Tensor
    blur_pixels: Tensor
    noise: Tensor | None


@dataclass(frozen=True)
class Placements:
    """How the images of a batch are moved, on the CPU; (images,) each.

    Attributes:
        degrees: of a rotation about the middle, from the cols' axis to the rows'. scale: above 1 enlarges.
        mirrored: bool.
    """

    degrees: Tensor
    scale: Tensor
    mirrored: Tensor


def draw_intensity_changes(
    generator: Generator, mr_shape: torch.Size, mr_channels: int, probability: float
) -> IntensityChanges:
    """Draw each change of each image's MR channels with the same probability; neighbouring slices change alike.

    Args:
        generator: on the CPU.
        mr_shape: (images, slices x MR channels, rows, cols).
        mr_channels: MR images of a patient.
        probability: of each of the five changes.
    """
    n_images, channels, rows, cols = mr_shape

    def drawn(limits: tuple[float, float], nothing: float, *more: int) -> Tensor:
        chosen = torch.rand(n_images, mr_channels, *(1 for _ in more), generator=generator) < probability
        return torch.where(chosen, _uniform(generator, limits, n_images, mr_channels, *more), nothing)

    log_field = drawn(LOG_FIELD, 0.0, FIELD_POINTS, FIELD_POINTS)
    gamma, contrast, blur, sd = drawn(GAMMA, 1.0), drawn(CONTRAST, 1.0), drawn(BLUR_PIXELS, 0.0), drawn(NOISE, 0.0)
    noise = None
    if sd.any():
        shape = (n_images, channels // mr_channels, mr_channels, rows, cols)
        noise = torch.randn(shape, generator=generator) * sd[:, None, :, None, None]
    return IntensityChanges(log_field, gamma, contrast, blur, noise)


def change_intensities(mr: Tensor, outside: float, changes: IntensityChanges) -> Tensor:
    """MRs as other scanners would show them; what is outside the head stays outside.

    Field and gamma act above the lowest intensity inside the head and keep mean and SD there, as codings that
    standardise would restore them; contrast, blur and noise do not.

    Args:
        mr: float32 (images, slices x MR channels, rows, cols).
        outside: value of what is outside the head.
        changes: drawn for that shape.
    """

    def per_image(numbers: Tensor) -> Tensor:
        return numbers.to(mr.device, non_blocking=True)[:, None, :, None, None]

    n_images, mr_channels = changes.gamma.shape
    image = mr.view(n_images, -1, mr_channels, *mr.shape[-2:])
    inside = image != outside
    if changes.log_field.any():
        field = interpolate(changes.log_field, mr.shape[-2:], mode="bicubic", align_corners=True).exp()
        low = _lowest(image, inside)
        factors = field.to(mr.device, non_blocking=True)[:, None]
        image = _with_statistics_of(image, low + (image - low) * factors, inside)
    if (changes.gamma != 1).any():
        low, high = _lowest(image, inside), -_lowest(-image, inside)
        extent = (high - low).clamp(min=1e-6)
        unit = ((image - low) / extent).clamp(0, 1)
        image = _with_statistics_of(image, low + extent * unit ** per_image(changes.gamma), inside)
    if (changes.contrast != 1).any():
        mean, _ = _mean_and_sd(image, inside)
        image = mean + (image - mean) * per_image(changes.contrast)
    if changes.blur_pixels.any():
        image = _blurred(image, inside, per_image(changes.blur_pixels))
    if changes.noise is not None:
        image = image + changes.noise.to(mr.device, non_blocking=True)
    return torch.where(inside, image, outside).view_as(mr)


def draw_placements(generator: Generator, n_images: int, probability: float, mirror: float) -> Placements:
    """Draw rotation and scale together with one probability, and mirroring with another; ``generator`` on the CPU."""
    moved = torch.rand(n_images, generator=generator) < probability
    degrees = torch.where(moved, _uniform(generator, ROTATION_DEGREES, n_images), 0.0)
    scale = torch.where(moved, _uniform(generator, SCALE, n_images), 1.0)
    return Placements(degrees, scale, torch.rand(n_images, generator=generator) < mirror)


def place(
    batch: dict[str, Tensor],
    outside: tuple[float, float],
    placements: Placements,
    pixel_mm: tuple[float, float],
    plane: Plane,
    n_slices: int,
) -> dict[str, Tensor]:
    """Move MR, CT and masks of a paired batch alike.

    Inside and outside of the head are never mixed: values near its edge come from the inside alone, and a pixel is
    inside where more than half of what it is interpolated from is. The CT that is not in ``head`` becomes air.

    Args:
        batch: ``mr`` (images, channels, rows, cols), ``ct``, ``known`` and ``head`` (images, 1, rows, cols).
        outside: of the head, in MR and CT.
        placements: drawn for as many images.
        pixel_mm: rows, cols.
        plane: of the slices.
        n_slices: that ``mr`` shows of each image, see :func:`mirrored`.

    Returns:
        A new batch of the same shapes.
    """
    device = batch["mr"].device
    if placements.mirrored.any():
        chosen = placements.mirrored.to(device, non_blocking=True)[:, None, None, None]
        shown = {name: n_slices if name == "mr" else 1 for name in batch}
        batch = {name: torch.where(chosen, mirrored(image, plane, shown[name]), image) for name, image in batch.items()}
    if not placements.degrees.any() and not (placements.scale != 1).any():
        return batch
    rows, cols = batch["mr"].shape[-2:]
    turned = _to_original(placements, rows * pixel_mm[0] / (cols * pixel_mm[1])).to(device, non_blocking=True)
    grid = affine_grid(turned, [len(turned), 1, rows, cols], align_corners=False)
    mr, _ = _interpolated(batch["mr"], batch["mr"] != outside[0], outside[0], grid)
    ct, head = _interpolated(batch["ct"], batch["head"] > 0, outside[1], grid)
    unknown = batch["known"] == 0
    _, unknown = _interpolated(unknown.float(), unknown, 0.0, grid)
    return {"mr": mr, "ct": ct, "known": (~unknown).float(), "head": head.float()}


def mirrored(images: Tensor, plane: Plane, n_slices: int = 1) -> Tensor:
    """Heads mirrored, left for right; across slices that are sagittal, their neighbours change places.

    Args:
        images: (images, slices x channels, rows, cols).
        plane: of the slices.
        n_slices: that each image shows, with the neighbours.
    """
    axis = left_right_axis(plane)
    if axis is not None:
        return images.flip(axis)
    return images.unflatten(1, (n_slices, -1)).flip(1).flatten(1, 2)


def _uniform(generator: Generator, limits: tuple[float, float], *shape: int) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(shape, generator=generator)


def _lowest(image: Tensor, inside: Tensor) -> Tensor:
    """Of each image and MR channel, over its slices and pixels; (images, 1, MR channels, 1, 1)."""
    return torch.where(inside, image, image.max()).amin((1, 3, 4), keepdim=True)


def _mean_and_sd(image: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Inside; shapes as of :func:`_lowest`."""
    n = inside.sum((1, 3, 4), keepdim=True).clamp(min=1)
    mean = (image * inside).sum((1, 3, 4), keepdim=True) / n
    return mean, (((image - mean) * inside).square().sum((1, 3, 4), keepdim=True) / n).sqrt()


def _with_statistics_of(before: Tensor, after: Tensor, inside: Tensor) -> Tensor:
    mean, sd = _mean_and_sd(before, inside)
    changed_mean, changed_sd = _mean_and_sd(after, inside)
    return mean + (after - changed_mean) * (sd / changed_sd.clamp(min=1e-6))


def _blurred(image: Tensor, inside: Tensor, sd_pixels: Tensor) -> Tensor:
    """By Gaussians, of what is inside alone; ``sd_pixels`` as of :func:`_lowest`."""
    distance = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=image.device)
    weights = torch.exp(-0.5 * (distance / sd_pixels.clamp(min=1e-3)) ** 2)  # (images, 1, MR channels, 1, reach)
    weights = weights.expand(-1, image.shape[1], -1, -1, -1).reshape(-1, 1, 1, len(distance))

    def summed(values: Tensor) -> Tensor:
        flat = values.reshape(1, -1, *values.shape[-2:])
        along_cols = conv2d(flat, weights, padding=(0, BLUR_REACH), groups=len(weights))
        return conv2d(along_cols, weights.transpose(2, 3), padding=(BLUR_REACH, 0), groups=len(weights)).view_as(values)

    return summed(image * inside) / summed(inside.to(image.dtype)).clamp(min=1e-6)


def _to_original(placements: Placements, rows_to_cols: float) -> Tensor:
    """From places in a moved image to those in the original, as ``affine_grid`` wants them; (images, 2, 3).

    There an image reaches from -1 to 1 along both axes, x along the cols: ``rows_to_cols`` is the ratio of their
    extents in mm.
    """
    radians = placements.degrees * (math.pi / 180)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    x = torch.stack((cos, sin * rows_to_cols, zero), 1)
    y = torch.stack((-sin / rows_to_cols, cos, zero), 1)
    return torch.stack((x, y), 1) / placements.scale[:, None, None]


def _interpolated(image: Tensor, inside: Tensor, outside: float, grid: Tensor) -> tuple[Tensor, Tensor]:
    """The image, linearly, from what is inside alone; and what is inside then."""
    both = torch.cat((image * inside, inside.to(image.dtype)), 1)
    values, share = grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False).chunk(2, 1)
    still_inside = share >= 0.5
    return torch.where(still_inside, values / share.clamp(min=1e-6), outside), still_inside
