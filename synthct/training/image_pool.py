"""The history of synthetic images that a discriminator is shown (Shrivastava et al. 2017; 50 images in Zhu et al.)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Keeps ``size`` earlier images; hands out, with probability 0.5 each, an earlier one in place of the new one.

    A discriminator that sees older images too does not chase the generator's last step.

    What is done with an image is drawn on the CPU, whatever the device of the images: so the choices are the same
    everywhere, and the exchange itself neither waits for the device nor changes its shape from step to step.
    """

    def __init__(self, size: int, seed: int, device: torch.device | str = "cpu") -> None:
        self.size = size
        self.generator = torch.Generator().manual_seed(seed)
        self.count = 0  # images kept so far
        self.images: Tensor | None = None  # (size + 1, channels, rows, cols); the last takes what is not kept
        self.device = torch.device(device)
        self.places = torch.empty(0, dtype=torch.int64, device=self.device)  # of each new image
        self.swaps = torch.empty(0, dtype=torch.bool, device=self.device)  # whether the image there is handed out
        self.drawn = False

    def draw(self, n_images: int) -> None:
        """Draw what the next :meth:`exchange` will do with its ``n_images``, where that is wanted beforehand."""
        places, swaps = [], []
        for _ in range(n_images if self.size else 0):
            if self.count < self.size:
                place, swap = self.count, False
                self.count += 1
            elif torch.rand((), generator=self.generator).item() < 0.5:
                place, swap = int(torch.randint(self.size, (), generator=self.generator)), True
            else:
                place, swap = self.size, False
            places.append(place)
            swaps.append(swap)
        if len(places) != len(self.places):
            self.places, self.swaps = self.places.new_empty(len(places)), self.swaps.new_empty(len(swaps))
        self.places.copy_(torch.tensor(places, dtype=torch.int64))
        self.swaps.copy_(torch.tensor(swaps, dtype=torch.bool))
        self.drawn = True

    def exchange(self, images: Tensor) -> Tensor:
        """Take in new images, return as many, new or earlier ones, without gradient; (batch, channels, rows, cols)."""
        images = images.detach()
        if self.size == 0:
            return images
        if not self.drawn:
            self.draw(len(images))
        self.drawn = False
        if self.images is None:
            self.images = images.new_zeros(self.size + 1, *images.shape[1:])
        handed_out = []
        for image, place, swap in zip(images.split(1), self.places.split(1), self.swaps.split(1), strict=True):
            earlier = self.images.index_select(0, place)
            handed_out.append(torch.where(swap, earlier, image))
            self.images.index_copy_(0, place, image)
        return torch.cat(handed_out)

    def state_dict(self) -> dict[str, Any]:
        """Images and generator: the pool goes on exactly where it was."""
        images = [] if self.images is None else [image.clone() for image in self.images[: self.count]]
        return {"images": images, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; a pool that has become smaller keeps the first images."""
        images = state["images"][: self.size]
        self.count = len(images)
        if images:
            if self.images is None or self.images.shape[1:] != images[0].shape:
                self.images = images[0].new_zeros(self.size + 1, *images[0].shape, device=self.device)
            for place, image in enumerate(images):
                self.images[place].copy_(image)  # in place: a recorded step goes on using this memory
        self.generator.set_state(state["generator"].cpu())
