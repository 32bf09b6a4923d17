"""A small picture of a case: its MR and CT in three planes through the head, with the outlines of their head masks.

All pictures have one scale and one size a row, so that heads can be compared from case to case. A plane is sampled
from the images directly: a picture takes a fraction of a second whatever the size of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy import ndimage

from synthct.dataset.images import CaseImages, HeadMasks
from synthct.files import bytes_written_whole
from synthct.imaging.geometry import Grid, extent_along, reorient, resample
from synthct.imaging.intensity import to_grey_levels
from synthct.tuples import triple_of

PIXEL_MM = 1.5
# 225 x 285 x 285 mm hold a head with its ears. With its gap a panel is a multiple of JPEG's blocks of 8 pixels, so that
# none bleeds into its neighbour.
LEFT_RIGHT_PX, FRONT_BACK_PX, HEIGHT_PX, GAP_PX = 150, 190, 190, 2
ROW_SIZE_PX = (2 * LEFT_RIGHT_PX + FRONT_BACK_PX + 2 * GAP_PX, HEIGHT_PX)  # (width, height)
ABOVE_VERTEX_MM = 20.0
AXIAL_BELOW_VERTEX_MM = 100.0  # through brain, ears and eyes, however long the neck is
MARGIN_MM = 15.0  # at least, on either side of the head
MR_PERCENTILES = (1.0, 99.5)  # of the intensities in the head: black and white
SQUARE_PX = 18  # of the checkerboard: 27 mm
SCALE_BAR_MM = 50.0

# Orange and sky blue of Okabe and Ito's palette, which colour-blind people tell apart; the CT's line is dashed besides.
MR_COLOUR, CT_COLOUR = (230, 159, 0), (86, 180, 233)
UNKNOWN, UNKNOWN_STRIPE = (52, 50, 72), (70, 68, 94)  # outside a field of view: never mistaken for air
_JPEG = {"quality": 67, "subsampling": 0, "optimize": True}  # full colour resolution, for the outlines' sake
_DPI = 100


@dataclass(frozen=True)
class _Cut:
    """An image in one plane; all (rows, cols)."""

    grey: np.ndarray  # uint8
    known: np.ndarray  # inside the image's field of view
    head: np.ndarray  # inside its head mask


def picture_size(rows: int) -> tuple[int, int]:
    """Width and height in pixels of a picture with so many rows."""
    return ROW_SIZE_PX[0], rows * ROW_SIZE_PX[1] + (rows - 1) * GAP_PX


def draw_case(
    images: CaseImages,
    masks: HeadMasks,
    path: Path,
    *,
    window_hu: tuple[float, float] = (-600.0, 1400.0),
) -> None:
    """Draw a case as JPEG: a row for the first MR channel, one for the CT, and for a pair one of both as checkerboard.

    A pair is cut along the MR's axes, so that its rows show the same place; a CT alone, and one that is not aligned,
    along its own. An oblique image is cut obliquely. What lies outside an image's field of view is striped.

    Args:
        images: of one patient, at least one image.
        masks: the head in them; an empty one is drawn as none.
        path: the file to be written, atomically.
        window_hu: black and white of the CT.
    """
    rows: list[tuple[str, list[np.ndarray]]] = []
    mr_cuts, planes = [], None
    if images.mr:
        planes = body_planes(images.mr[0], masks.the_mr)
        window = _window_of_head(images.mr[0], masks.the_mr)
        mr_cuts = _cuts(images.mr[0], images.mr_scanned, masks.the_mr, planes, window)
        rows.append(("MR", [_painted(cut, mr_head=cut.head) for cut in mr_cuts]))
    if images.ct is not None:
        together = bool(images.mr) and images.aligned
        if planes is None or not together:
            planes = body_planes(images.ct, masks.the_ct)
        ct_cuts = _cuts(images.ct, images.ct_scanned, masks.the_ct, planes, window_hu)
        rows.append(("CT", [_painted(cut, ct_head=cut.head) for cut in ct_cuts]))
        if together:
            both = [_checkerboard(mr, ct) for mr, ct in zip(mr_cuts, ct_cuts)]
            heads = [{"mr_head": mr.head, "ct_head": ct.head} for mr, ct in zip(mr_cuts, ct_cuts)]
            rows.append(("MR over CT", [_painted(cut, **outlines) for cut, outlines in zip(both, heads)]))
        elif images.mr:
            nothing = np.zeros((HEIGHT_PX, 1), bool)
            words = [np.repeat(nothing, width, axis=1) for width in (LEFT_RIGHT_PX, LEFT_RIGHT_PX, FRONT_BACK_PX)]
            rows.append(("not aligned", [_painted(_Cut(np.zeros(w.shape, np.uint8), w, w)) for w in words]))
    assert planes is not None  # there is an image
    _write(rows, planes[0].spacing_mm_xyz[0], path)


def body_planes(image: sitk.Image, head_mask: sitk.Image) -> tuple[Grid, Grid, Grid]:
    """Axial, coronal and sagittal plane through the middle of the head, along the image's own axes; one voxel thick.

    Axial and coronal planes show the patient's right side on the left, the sagittal one the face.

    Args:
        image: gives the axes, each named after the body axis that it is nearest to.
        head_mask: uint8 on the image's grid; where it is empty the planes go through the middle of the image.
    """
    axes = np.reshape(reorient(image[:2, :2, :2], "LPS").GetDirection(), (3, 3))
    empty = not sitk.GetArrayViewFromImage(head_mask).any()
    low_mm, high_mm = extent_along(sitk.Cast(image == image, sitk.sitkUInt8) if empty else head_mask, axes)
    middle = (low_mm + high_mm) / 2
    middle[2] = max(middle[2], high_mm[2] - AXIAL_BELOW_VERTEX_MM)
    room = np.array([LEFT_RIGHT_PX, FRONT_BACK_PX]) * PIXEL_MM
    pixel_mm = PIXEL_MM * max(1.0, *((high_mm - low_mm + 2 * MARGIN_MM)[:2] / room))
    view = np.array([*middle[:2], high_mm[2] + ABOVE_VERTEX_MM - HEIGHT_PX * pixel_mm / 2])  # the centre of the view
    left, back, up = axes.T
    return (
        _plane(left, back, np.array([*view[:2], middle[2]]), (LEFT_RIGHT_PX, HEIGHT_PX), pixel_mm, axes),
        _plane(left, -up, np.array([view[0], middle[1], view[2]]), (LEFT_RIGHT_PX, HEIGHT_PX), pixel_mm, axes),
        _plane(back, -up, np.array([middle[0], *view[1:]]), (FRONT_BACK_PX, HEIGHT_PX), pixel_mm, axes),
    )


def _plane(
    right: np.ndarray, down: np.ndarray, centre: np.ndarray, size: tuple[int, int], pixel_mm: float, axes: np.ndarray
) -> Grid:
    """A grid of one slice around ``centre`` (mm along ``axes``)."""
    corner = axes @ centre - sum((n - 1) / 2 * pixel_mm * step for n, step in zip(size, (right, down)))
    direction = np.stack([right, down, np.cross(right, down)], axis=1)
    return Grid((*size, 1), (pixel_mm,) * 3, triple_of(map(float, corner)), tuple(map(float, direction.ravel())))


def _cuts(
    image: sitk.Image, scanned: sitk.Image, head_mask: sitk.Image, planes: Sequence[Grid], window: tuple[float, float]
) -> list[_Cut]:
    # Means over blocks of voxels about as wide as a pixel, in the image's own pixel type: 0.3 s for a CT of 512 x 512 x
    # 260, where `block_means` takes 0.8 s and smoothing longer.
    blocks = [max(1, round(PIXEL_MM / spacing)) for spacing in image.GetSpacing()]
    coarse = image if max(blocks) == 1 else sitk.BinShrink(image, blocks)
    cuts = []
    for plane in planes:
        values = _flat(resample(coarse, plane, outside=window[0], smooth=False))
        known = _flat(resample(scanned, plane, interpolation="nearest")) > 0
        head = _flat(resample(head_mask, plane, interpolation="nearest")) > 0
        cuts.append(_Cut(to_grey_levels(values, window), known, head))
    return cuts


def _flat(plane: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(plane)[0]


def _window_of_head(mr: sitk.Image, head_mask: sitk.Image) -> tuple[float, float]:
    values, head = (sitk.GetArrayViewFromImage(image)[::2, ::2, ::2] for image in (mr, head_mask))
    inside = values[head > 0] if head.any() else values
    low, high = np.percentile(inside, MR_PERCENTILES)
    return float(low), float(max(high, low + 1e-6))


def _checkerboard(mr: _Cut, ct: _Cut) -> _Cut:
    """MR and CT in turn where both are known, the MR in the upper left square."""
    rows, cols = np.indices(mr.grey.shape) // SQUARE_PX
    return _Cut(np.where((rows + cols) % 2 == 0, mr.grey, ct.grey), mr.known & ct.known, mr.head)


def _painted(cut: _Cut, *, mr_head: np.ndarray | None = None, ct_head: np.ndarray | None = None) -> np.ndarray:
    """RGB uint8 (rows, cols, 3). Outlines lie just outside the heads, so that they do not hide the skin."""
    rows, cols = np.indices(cut.grey.shape)
    rgb = np.repeat(cut.grey[..., None], 3, axis=2)
    stripes = (rows + cols) % 16 < 2
    rgb[~cut.known] = UNKNOWN
    rgb[~cut.known & stripes] = UNKNOWN_STRIPE
    if mr_head is not None:
        rgb[_outline(mr_head)] = MR_COLOUR
    if ct_head is not None:
        rgb[_outline(ct_head) & ((rows + cols) % 8 < 5)] = CT_COLOUR
    return rgb


def _outline(head: np.ndarray) -> np.ndarray:
    return ndimage.binary_dilation(head) & ~head


def _write(rows: Sequence[tuple[str, Sequence[np.ndarray]]], pixel_mm: float, path: Path) -> None:
    width, height = picture_size(len(rows))
    canvas = np.zeros((height, width, 3), np.uint8)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    around = [withStroke(linewidth=2, foreground="black")]

    def say(text: str, x: float, y: float, size_px: float = 12, **style: Any) -> None:
        given: dict[str, Any] = {"color": "white", "fontsize": size_px * 72 / _DPI, "path_effects": around}
        figure.text(x / width, 1 - y / height, text, **given | style)

    for i, (title, panels) in enumerate(rows):
        top, left = i * (HEIGHT_PX + GAP_PX), 0
        for panel, sides in zip(panels, ("RL", "RL", "AP")):
            rows_px, cols_px = panel.shape[:2]
            canvas[top : top + rows_px, left : left + cols_px] = panel
            if title != "not aligned":
                say(sides[0], left + 4, top + rows_px / 2, 10, va="center")
                say(sides[1], left + cols_px - 4, top + rows_px / 2, 10, va="center", ha="right")
            left += cols_px + GAP_PX
        if title == "not aligned":
            say("MR and CT are not aligned", width / 2, top + HEIGHT_PX / 2, 16, ha="center", va="center")
        else:
            say(title, 5, top + 5, 13, va="top", weight="bold")
    bar_px = SCALE_BAR_MM / pixel_mm
    canvas[HEIGHT_PX - 9 : HEIGHT_PX - 6, width - 8 - round(bar_px) : width - 8] = 255
    say(f"{SCALE_BAR_MM:.0f} mm", width - 8 - bar_px / 2, HEIGHT_PX - 12, 10, ha="center", va="bottom")
    figure.figimage(canvas, origin="upper")
    with bytes_written_whole(path) as file:
        figure.savefig(file, format="jpg", dpi=_DPI, pil_kwargs=_JPEG)
