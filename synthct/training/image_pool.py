"""The history of synthetic images that a discriminator is shown (Shrivastava et al. 2017; 50 images in Zhu et al.)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Keeps ``size`` earlier images; hands out, with probability 0.5 each, an earlier one in place of the new one.

    A discriminator that sees older images too does not chase the generator's last step.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.images: list[Tensor] = []  # each (channels, rows, cols)
        # On the CPU whatever the device of the images: choices need no synchronisation and are the same everywhere.
        self.generator = torch.Generator().manual_seed(seed)

    def exchange(self, images: Tensor) -> Tensor:
        """Take in new images, return as many, new or earlier ones; (batch, channels, rows, cols), no gradient."""
        images = images.detach()
        if self.size == 0:
            return images
        handed_out = []
        for image in images.unbind():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                handed_out.append(image)
            elif torch.rand((), generator=self.generator).item() < 0.5:
                place = int(torch.randint(self.size, (), generator=self.generator))
                handed_out.append(self.images[place])
                self.images[place] = image.clone()
            else:
                handed_out.append(image)
        return torch.stack(handed_out)

    def state_dict(self) -> dict[str, Any]:
        """Images and generator: the pool goes on exactly where it was."""
        return {"images": list(self.images), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any], device: torch.device | str = "cpu") -> None:
        """Restore :meth:`state_dict`; a pool that has become smaller keeps the first images."""
        self.images = [image.to(device) for image in state["images"][: self.size]]
        self.generator.set_state(state["generator"].cpu())
