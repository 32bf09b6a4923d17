"""Augmentation: what it changes, what it must not, and that it is what was drawn."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from synthct.training import augmentation
from synthct.training.augmentation import IntensityChanges, Placements

OUTSIDE = -2.0
SIZE = 48


def disk(radius: float = 18.0) -> Tensor:
    rows, cols = torch.meshgrid(*(torch.arange(SIZE) - (SIZE - 1) / 2,) * 2, indexing="ij")
    return (rows**2 + cols**2 < radius**2)[None, None]


def an_mr(n_images: int = 1, channels: int = 1) -> Tensor:
    noise = torch.randn(n_images, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return torch.where(disk(), noise.clamp(-1.9, 4), OUTSIDE)


def a_batch(mr: Tensor, ct: Tensor) -> dict[str, Tensor]:
    return {"mr": mr, "ct": ct, "known": torch.ones_like(ct), "head": disk().expand_as(ct).float()}


def nothing(n_images: int = 1, mr_channels: int = 1, **changes: Tensor) -> IntensityChanges:
    shape = (n_images, mr_channels)
    points = augmentation.FIELD_POINTS
    same = IntensityChanges(
        torch.zeros(*shape, points, points), torch.ones(shape), torch.ones(shape), torch.zeros(shape), None
    )
    return dataclasses.replace(same, **changes)


def placed(n: int = 1, degrees: float = 0.0, scale: float = 1.0, mirrored: bool = False) -> Placements:
    return Placements(torch.full((n,), degrees), torch.full((n,), scale), torch.full((n,), mirrored))


CHANGES = {
    "field": {"log_field": torch.linspace(-0.3, 0.3, 16).view(1, 1, 4, 4)},
    "gamma": {"gamma": torch.full((1, 1), 1.4)},
    "contrast": {"contrast": torch.full((1, 1), 0.8)},
    "blur": {"blur_pixels": torch.full((1, 1), 1.0)},
    "noise": {"noise": torch.randn(1, 1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))},
}


@pytest.mark.parametrize("kind", CHANGES)
def test_intensities_change_inside_the_head_alone(kind):
    mr = an_mr()
    changed = augmentation.change_intensities(mr, OUTSIDE, nothing(**CHANGES[kind]))
    assert changed.shape == mr.shape and changed.dtype == mr.dtype
    assert torch.equal(changed[~disk()], mr[~disk()])
    assert (changed[disk()] != mr[disk()]).float().mean() > 0.9


@pytest.mark.parametrize("kind", ["field", "gamma"])
def test_field_and_gamma_keep_mean_and_sd_of_the_head(kind):
    mr = an_mr()
    changed = augmentation.change_intensities(mr, OUTSIDE, nothing(**CHANGES[kind]))
    for statistic in (torch.mean, torch.std):
        torch.testing.assert_close(statistic(changed[disk()]), statistic(mr[disk()]), rtol=1e-4, atol=1e-4)


def test_gamma_and_contrast_keep_the_order_of_intensities():
    mr = an_mr()
    for kind in ("gamma", "contrast"):
        changed = augmentation.change_intensities(mr, OUTSIDE, nothing(**CHANGES[kind]))
        assert (changed[disk()][mr[disk()].argsort()].diff() >= -1e-6).all()


def test_contrast_scales_about_the_mean_of_the_head():
    mr = an_mr()
    changed = augmentation.change_intensities(mr, OUTSIDE, nothing(contrast=torch.full((1, 1), 0.8)))
    mean = mr[disk()].mean()
    torch.testing.assert_close(changed[disk()], mean + 0.8 * (mr[disk()] - mean))


def test_a_field_varies_smoothly():
    ramp = torch.where(disk(), torch.where(torch.arange(SIZE) % 2 > 0, 1.0, -1.0), OUTSIDE)  # stripes of two values
    changed = augmentation.change_intensities(ramp, OUTSIDE, nothing(**CHANGES["field"]))
    bright = torch.where(ramp == 1, changed, torch.nan)[0, 0, :, 1::2]
    steps = bright.diff(dim=0)
    assert steps[steps.isfinite()].abs().max() < 0.1
    assert bright[bright.isfinite()].std() > 0.02


def test_blur_does_not_bring_the_outside_in():
    flat = torch.where(disk(), 3.0, OUTSIDE)
    changed = augmentation.change_intensities(flat, OUTSIDE, nothing(**CHANGES["blur"]))
    torch.testing.assert_close(changed, flat)


def test_neighbouring_slices_change_alike_and_mr_channels_by_themselves():
    mr_slice = an_mr()
    mr = mr_slice.repeat(2, 6, 1, 1)  # three slices of two MR channels, all the same
    generator = torch.Generator().manual_seed(1)
    changes = augmentation.draw_intensity_changes(generator, mr.shape, 2, 1.0)
    assert changes.noise.shape == (2, 3, 2, SIZE, SIZE)
    changed = augmentation.change_intensities(mr, OUTSIDE, dataclasses.replace(changes, noise=None))
    images = changed.view(2, 3, 2, SIZE, SIZE)
    torch.testing.assert_close(images[:, 0], images[:, 2])
    assert not torch.allclose(images[:, :, 0], images[:, :, 1])
    assert not torch.allclose(images[0], images[1])


@pytest.mark.parametrize("mr", [torch.full((1, 1, 16, 16), OUTSIDE), torch.zeros(1, 1, 16, 16)])
def test_empty_and_flat_images_stay_finite(mr):
    changes = augmentation.draw_intensity_changes(torch.Generator().manual_seed(0), mr.shape, 1, 1.0)
    changed = augmentation.change_intensities(mr, OUTSIDE, changes)
    assert changed.isfinite().all()
    assert torch.equal(changed == OUTSIDE, mr == OUTSIDE)


def test_each_change_is_drawn_with_the_probability_and_within_its_range():
    shape = torch.Size((4000, 1, 1, 1))
    changes = augmentation.draw_intensity_changes(torch.Generator().manual_seed(0), shape, 1, 0.25)
    for numbers, limits, none in (
        (changes.gamma, augmentation.GAMMA, 1.0),
        (changes.contrast, augmentation.CONTRAST, 1.0),
        (changes.blur_pixels, augmentation.BLUR_PIXELS, 0.0),
        (changes.log_field.abs().amax((2, 3)), (0.0, augmentation.LOG_FIELD[1]), 0.0),
    ):
        chosen = numbers[numbers != none]
        assert len(chosen) / len(numbers) == pytest.approx(0.25, abs=0.03)
        assert limits[0] <= chosen.min() and chosen.max() <= limits[1]
    placements = augmentation.draw_placements(torch.Generator().manual_seed(0), 4000, 0.25, 0.5)
    assert (placements.degrees != 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(placements.degrees != 0, placements.scale != 1)
    assert placements.mirrored.float().mean() == pytest.approx(0.5, abs=0.03)
    assert placements.degrees.abs().max() <= 10 and 0.9 <= placements.scale.min() <= placements.scale.max() <= 1.1


def test_nothing_is_changed_with_probability_zero():
    mr = an_mr()
    changes = augmentation.draw_intensity_changes(torch.Generator(), mr.shape, 1, 0.0)
    assert torch.equal(augmentation.change_intensities(mr, OUTSIDE, changes), mr)
    batch = a_batch(mr, mr + 1)
    placements = augmentation.draw_placements(torch.Generator(), 1, 0.0, 0.0)
    assert augmentation.place(batch, (OUTSIDE, -1.0), placements, (1, 1), "axial", 1) is batch


def test_mr_ct_and_head_move_alike():
    mr = an_mr(n_images=2)
    batch = a_batch(mr, torch.where(disk(), 2 * mr, -1.0))
    moved = augmentation.place(batch, (OUTSIDE, -1.0), placed(2, 7.0, 1.05), (1.0, 1.0), "sagittal", 1)
    head = moved["head"] > 0
    torch.testing.assert_close(moved["ct"][head], 2 * moved["mr"][head])
    assert torch.equal(head, moved["mr"] != OUTSIDE)
    assert (moved["ct"][~head] == -1).all()
    assert {name: image.shape for name, image in moved.items()} == {name: image.shape for name, image in batch.items()}
    assert head.float().sum() == pytest.approx(1.05**2 * float(batch["head"].sum()), rel=0.03)


def test_the_edge_of_the_head_is_not_mixed_with_the_outside():
    flat = torch.where(disk(), 3.0, OUTSIDE)
    moved = augmentation.place(a_batch(flat, flat), (OUTSIDE, OUTSIDE), placed(1, 9.0, 0.93), (1.0, 1.0), "sagittal", 1)
    for name in ("mr", "ct"):
        torch.testing.assert_close(moved[name], torch.where(moved["head"] > 0, 3.0, OUTSIDE))


@pytest.mark.parametrize("pixel_mm", [(1.0, 1.0), (2.0, 1.0), (1.0, 1.5)])
@pytest.mark.parametrize(("degrees", "scale"), [(10.0, 1.0), (0.0, 1.1), (-8.0, 0.9)])
def test_a_point_goes_where_a_rotation_in_mm_takes_it(pixel_mm, degrees, scale):
    spot = (10, 30)  # rows, cols
    middle = torch.tensor([(SIZE - 1) / 2, (SIZE - 1) / 2])
    mr = torch.zeros(1, 1, SIZE, SIZE)
    mr[0, 0, spot[0] - 1 : spot[0] + 2, spot[1] - 1 : spot[1] + 2] = 1
    batch = {"mr": mr, "ct": mr, "known": torch.ones_like(mr), "head": torch.ones_like(mr)}
    moved = augmentation.place(batch, (OUTSIDE, -1.0), placed(1, degrees, scale), pixel_mm, "sagittal", 1)["mr"][
        0, 0
    ].clamp(0)
    rows, cols = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    found = torch.stack([(moved * rows).sum(), (moved * cols).sum()]) / moved.sum()
    angle = torch.tensor(degrees).deg2rad()
    turn = torch.tensor([[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]])  # (rows, cols)
    mm = torch.tensor(pixel_mm)
    expected = middle + scale * (turn @ ((torch.tensor(spot) - middle) * mm)) / mm
    torch.testing.assert_close(found, expected, rtol=0, atol=0.3)


def test_what_was_unknown_stays_unknown():
    mr = an_mr()
    batch = a_batch(mr, mr)
    batch["known"] = batch["known"].clone()
    batch["known"][..., 30:, :] = 1 - disk()[..., 30:, :].float()
    batch["head"] = batch["head"] * batch["known"]
    moved = augmentation.place(batch, (OUTSIDE, -1.0), placed(1, 5.0), (1.0, 1.0), "sagittal", 1)
    assert set(moved["known"].unique().tolist()) == {0.0, 1.0}
    assert not ((moved["head"] > 0) & (moved["known"] == 0)).any()
    assert float((moved["known"] == 0).sum()) == pytest.approx(float((batch["known"] == 0).sum()), rel=0.1)


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_mirroring_is_exact_and_of_the_chosen_images_alone(plane):
    mr = an_mr(n_images=2)
    batch = a_batch(mr, mr + 1)
    chosen = Placements(torch.zeros(2), torch.ones(2), torch.tensor([True, False]))
    moved = augmentation.place(batch, (OUTSIDE, -1.0), chosen, (1.0, 1.0), plane, 1)
    for name, image in batch.items():
        assert torch.equal(moved[name][0], image[0].flip(-1))  # left and right lie along the cols
        assert torch.equal(moved[name][1], image[1])


def test_neighbours_of_a_sagittal_slice_change_places_and_the_ct_stays():
    """Left and right lie across sagittal slices."""
    mr = torch.rand(1, 6, 8, 8)  # two channels of three slices
    batch = {"mr": mr} | {name: torch.rand(1, 1, 8, 8) for name in ("ct", "known", "head")}
    moved = augmentation.place(batch, (OUTSIDE, -1.0), placed(mirrored=True), (1.0, 1.0), "sagittal", 3)
    assert torch.equal(moved["mr"], mr[:, [4, 5, 2, 3, 0, 1]])
    assert all(torch.equal(moved[name], batch[name]) for name in ("ct", "known", "head"))
