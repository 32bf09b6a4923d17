"""MRs that a model must not trust: what goes wrong between the scanner and the prediction."""

import numpy as np
import SimpleITK as sitk

from synthct.imaging.geometry import Grid, orientation_code, reorient

LETTERS = ("LR", "AP", "SI")  # the ends of the body axes: 0 LR, 1 AP, 2 SI


def _axis(mr: sitk.Image, body_axis: int) -> int:
    """The array axis (z, y, x) that runs along a body axis: 0 LR, 1 AP, 2 SI."""
    return 2 - next(i for i, letter in enumerate(orientation_code(mr)) if letter in LETTERS[body_axis])


def _like(values: np.ndarray, mr: sitk.Image) -> sitk.Image:
    return Grid.of(mr).place(np.clip(np.rint(values), -32768, 32767).astype(np.int16))


def flipped(mr: sitk.Image, body_axis: int) -> sitk.Image:
    """The voxels run the other way along an axis, and the header does not say so."""
    return _like(np.flip(sitk.GetArrayFromImage(mr), _axis(mr, body_axis)), mr)


def axes_exchanged(mr: sitk.Image) -> sitk.Image:
    """The axes AP and SI stand in each other's place."""
    grid = Grid.of(mr)
    i, j = 2 - _axis(mr, 1), 2 - _axis(mr, 2)
    axes = grid.axes.copy()
    axes[:, [i, j]] = axes[:, [j, i]]
    turned = sitk.Image(mr)
    turned.SetDirection(axes.ravel().tolist())
    return turned


def noisy(mr: sitk.Image, share: float, seed: int) -> sitk.Image:
    """Rician noise with an SD of that share of the brightness of tissue."""
    values = sitk.GetArrayFromImage(mr).astype(np.float32)
    sd = share * float(np.median(values[values > np.percentile(values, 60)]))
    rng = np.random.default_rng(seed)
    return _like(np.hypot(values + rng.normal(0, sd, values.shape), rng.normal(0, sd, values.shape)), mr)


def ghosts(mr: sitk.Image, amplitude_mm: float, period_lines: float = 7.3) -> sitk.Image:
    """The head nods along AP, periodically over the lines of k-space along the same axis."""
    axis = _axis(mr, 1)
    values = np.moveaxis(sitk.GetArrayFromImage(mr).astype(np.float32), axis, -1)
    n, spacing = values.shape[-1], mr.GetSpacing()[2 - axis]
    shift = amplitude_mm / spacing * np.sin(2 * np.pi * np.arange(n) / period_lines)
    spectrum = np.fft.fft(values, axis=-1) * np.exp(-2j * np.pi * np.fft.fftfreq(n) * shift)
    return _like(np.moveaxis(np.abs(np.fft.ifft(spectrum, axis=-1)), -1, axis), mr)


def half_blank(mr: sitk.Image) -> sitk.Image:
    """The slices of one half are missing and were filled with 0."""
    values = sitk.GetArrayFromImage(mr)
    axis = _axis(mr, 0)
    moved = np.moveaxis(values, axis, 0)
    moved[: len(moved) // 2] = 0
    return _like(values, mr)


def cropped(mr: sitk.Image, body_axis: int, share: float) -> sitk.Image:
    """The field of view ends early: at the top of the head (2), at the face (1) or at one side (0)."""
    upright = reorient(mr, "RAS")  # along each axis the far end is cut: left, front, top
    size = list(upright.GetSize())
    size[body_axis] = int(size[body_axis] * (1 - share))
    return reorient(sitk.RegionOfInterest(upright, size, [0, 0, 0]), orientation_code(mr))


def rescaled(mr: sitk.Image, factor: float) -> sitk.Image:
    """The spacing in the header is wrong by this factor."""
    wrong = sitk.Image(mr)
    wrong.SetSpacing([spacing * factor for spacing in mr.GetSpacing()])
    return wrong


def thicker(mr: sitk.Image, factor: float) -> sitk.Image:
    """The spacing of the slices in the header is wrong by this factor."""
    wrong = sitk.Image(mr)
    x, y, z = mr.GetSpacing()
    wrong.SetSpacing([x, y, z * factor])
    return wrong


def biased(mr: sitk.Image, factor: float) -> sitk.Image:
    """The sensitivity falls by that factor from the front to the back of the field of view."""
    values = sitk.GetArrayFromImage(mr).astype(np.float32)
    axis = _axis(mr, 1)
    ramp = np.linspace(0.5, -0.5, values.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
    return _like(values * factor**ramp, mr)
