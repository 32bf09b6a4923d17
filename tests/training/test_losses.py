"""The losses against values computed by hand."""

from __future__ import annotations

import pytest
import torch

from synthct.training.losses import cycle_loss, discriminator_loss, masked_l1_loss, synthesis_loss


def test_discriminator_loss_is_equation_1():
    real, synthetic = torch.tensor([[[[0.5, 1.0]]]]), torch.tensor([[[[0.2, -0.4]]]])
    # (0.25 + 0) / 2 + (0.04 + 0.16) / 2, with a discriminator that returns its input
    assert discriminator_loss(torch.nn.Identity(), real, synthetic).item() == pytest.approx(0.225)


def test_discriminator_loss_is_zero_for_the_right_answers():
    assert discriminator_loss(torch.nn.Identity(), torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)).item() == 0


def test_synthesis_loss_draws_to_the_label_of_real_images():
    assert synthesis_loss(torch.tensor([[[[0.5, 1.0, -1.0]]]])).item() == pytest.approx((0.25 + 0 + 4) / 3)
    assert synthesis_loss(torch.ones(1, 1, 2, 2)).item() == 0


def test_cycle_loss_is_the_mean_absolute_difference():
    assert cycle_loss(torch.tensor([[1.0, -1.0]]), torch.tensor([[0.5, 0.0]])).item() == pytest.approx(0.75)


def test_masked_l1_leaves_out_unknown_pixels():
    synthetic, reference = torch.tensor([[[[1.0, 0.0, -1.0]]]]), torch.tensor([[[[0.0, 0.5, 1.0]]]])
    assert masked_l1_loss(synthetic, reference, torch.tensor([[[[1.0, 1.0, 0.0]]]])).item() == pytest.approx(0.75)
    assert masked_l1_loss(synthetic, reference, torch.zeros(1, 1, 1, 3)).item() == 0
