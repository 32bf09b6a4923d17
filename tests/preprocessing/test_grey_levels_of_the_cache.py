"""16 bits show the reference methods exactly the grey levels of the resampled volumes: they stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_datasets import small_configuration
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.dataset.images import CaseImages
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.imaging.geometry import Grid, resample
from synthct.imaging.intensity import to_grey_levels, to_network
from synthct.planning.plan import InputPlan
from synthct.preprocessing.case import slices_of_case
from synthct.preprocessing.network_input import NetworkInput
from synthct.preprocessing.slice_reader import SliceFacts
from synthct.preprocessing.slice_stack import CT_KNOWN, HEAD, MR_KNOWN, SliceStack

GRID = make_grid((68, 84, 84), (3, 3, 3), tilt_deg=(3, -2, 5))
CT_GRID = make_grid((100, 120, 60), (2.3, 2.1, 3.4), "RAI", centre_mm=(9, -7, 25))  # ends in the neck
WINDOW, WINDOW_HU = (0.0, 3500.0), (-600.0, 1400.0)


PLAN = small_configuration(spacing_mm=(3.0, 2.5, 2.5), slice_scale=1.125, slice_size=(80, 80)).preprocessing


def noisy_ct() -> sitk.Image:
    hu = sitk.GetArrayFromImage(head_ct(CT_GRID)) + np.random.default_rng(3).normal(0, 60, CT_GRID.array_shape)
    return CT_GRID.place(hu.astype(np.int16))


def coded(image: sitk.Image, stack: SliceStack, known: int, window: tuple[float, float], outside: float) -> np.ndarray:
    """Grey levels of the float32 volume on the slice grid, black outside the head and the field of view."""
    volume = resample(image, Grid.from_plain(stack.info["grid"]), interpolation="linear", outside=outside)
    grey = to_grey_levels(sitk.GetArrayFromImage(volume), window)
    grey[(stack.regions & (HEAD | known)) != HEAD | known] = 0
    return to_network(grey)


@pytest.mark.parametrize("scale", [0.37, 1.0, 3.9, 61.3])
def test_the_slices_have_the_grey_levels_of_the_volumes_in_float(tmp_path, scale):
    """From memory and from the file, whatever the MR's scale: some below, some above the window."""
    images = CaseImages("P", (head_mr(GRID, scale=scale, seed=5),), noisy_ct())
    stack = slices_of_case(images, PLAN)
    mr = coded(images.mr[0], stack, MR_KNOWN, WINDOW, 0.0)
    ct = coded(images.ct, stack, CT_KNOWN, WINDOW_HU, -1000.0)
    assert len(np.unique(mr)) > 20 and len(np.unique(ct)) > 150
    stack.save(tmp_path / "P.npz")
    network_input = NetworkInput(InputPlan("sagittal", 0, 1), GreyLevels())
    for case in (stack, SliceFacts.load(tmp_path / "P.npz").reader):
        for i in range(stack.n_slices):
            np.testing.assert_array_equal(network_input.mr(case, i)[0], mr[i])
            np.testing.assert_array_equal(network_input.ct(case, i)[0], ct[i])


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_in_percentile_windows_a_grey_level_differs_at_most_where_it_was_a_matter_of_rounding(scale):
    images = CaseImages("P", (head_mr(GRID, scale=scale, seed=5),))
    stack = slices_of_case(images, PLAN)
    window = MrWindow("percentile", 0.5, 99.5)
    mr = coded(images.mr[0], stack, MR_KNOWN, window.in_force(stack.mr_statistics[0]), 0.0)
    network_input = NetworkInput(InputPlan("sagittal", 0, 1), GreyLevels(mr_windows=(window,)))
    levels_off = np.abs(np.stack([network_input.mr(stack, i)[0] for i in range(stack.n_slices)]) - mr) * 255 / 2
    assert levels_off.max() < 1.01
    assert (levels_off > 0.5)[(stack.regions & HEAD) > 0].mean() < 0.02
