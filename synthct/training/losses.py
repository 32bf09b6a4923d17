"""The losses of Wolterink et al. 2017, section 3 (eqs. 1 to 3), and the voxel-wise loss of pix2pix."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def discriminator_loss(dis: nn.Module, real: Tensor, synthetic: Tensor) -> Tensor:
    """Eqs. 1 and 2: (1 - Dis(real))^2 + Dis(synthetic)^2, the means over all patches; scalar.

    Args:
        dis: the discriminator.
        real: (batch, channels, rows, cols).
        synthetic: same shape, detached from the generator.
    """
    # One pass for both: instance norm treats every image by itself, so the result is that of two passes.
    real_scores, synthetic_scores = dis(torch.cat((real, synthetic))).float().chunk(2)
    return (1 - real_scores).square().mean() + synthetic_scores.square().mean()


def synthesis_loss(synthetic_scores: Tensor) -> Tensor:
    """The generator's side of eqs. 1 and 2: (1 - Dis(Syn(x)))^2, the mean over all patches; scalar.

    "Maximising" eqs. 1 and 2 is done with the non-saturating target 1, as in the implementation that the paper used.
    """
    return (1 - synthetic_scores.float()).square().mean()


def cycle_loss(reconstructed: Tensor, original: Tensor) -> Tensor:
    """One direction of eq. 3: the mean absolute difference, in network units; scalar."""
    return functional.l1_loss(reconstructed.float(), original)


def gradient_correlation(first: Tensor, second: Tensor) -> Tensor:
    """How far two images have their edges in the same places, whichever side is brighter (after Hiasa et al. 2018).

    The correlation of the magnitudes of their gradients, central differences.

    Args:
        first, second: (batch, 1, rows, cols).

    Returns:
        (batch,), -1 to 1.
    """
    edges = [_centred(_gradient_magnitude(image.float()).flatten(1)) for image in (first, second)]
    norms = edges[0].norm(dim=1) * edges[1].norm(dim=1)
    return (edges[0] * edges[1]).sum(1) / norms.clamp(min=1e-6)


def _gradient_magnitude(image: Tensor) -> Tensor:
    down = image[:, :, 2:, 1:-1] - image[:, :, :-2, 1:-1]
    right = image[:, :, 1:-1, 2:] - image[:, :, 1:-1, :-2]
    return (down.square() + right.square() + 1e-8).sqrt()


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(1, keepdim=True)


def masked_l1_loss(synthetic: Tensor, reference: Tensor, weight: Tensor) -> Tensor:
    """pix2pix's voxel-wise loss: the mean absolute difference where ``weight`` is 1; 0 where it is 0 everywhere.

    The mean over the images of a batch, whatever share of each is known: so several processes with an image each
    learn what one process learns from all of them.

    Args:
        synthetic, reference, weight: (batch, 1, rows, cols).
    """
    return masked_mean((synthetic.float() - reference).abs(), weight)


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """The mean of each image where ``weight`` is 1 (0 where it is 0 everywhere), then of the batch; scalar.

    Args:
        values, weight: (batch, 1, rows, cols).
    """
    return ((values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1)).mean()
