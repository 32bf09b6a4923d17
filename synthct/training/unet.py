"""A U-Net trained on pairs by its error alone: the most accurate method where there are registered pairs.

No discriminator: regressions with a masked L1 loss lead the public comparisons of MR-to-CT synthesis (SynthRAD2025,
first and third place), and adversarial or perceptual terms buy sharpness at the price of MAE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from synthct.imaging.coding import Standardised
from synthct.json_dataclasses import added_later, check_ranges
from synthct.networks.unet import UNet
from synthct.parallel import Progress
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings
from synthct.planning.plan import Configuration, Reason, TrainingPlan, pixel_mm
from synthct.training import augmentation
from synthct.training.losses import masked_l1_loss
from synthct.training.moved_pairs import MovedPairs
from synthct.training.rounds import RoundFolders, TrainerInRounds
from synthct.training.trainer import CachedSlices

GROWTH = (1, 2, 4, 8, 12, 16)  # of the width, level by level
MIN_PIXELS = 8  # of the coarsest level
ADAM_BETAS = (0.9, 0.999)
LATER_ROUNDS = 0.7  # of the learning rate of the first


@dataclass(frozen=True)
class UNetSettings:
    """Chosen by the ablations on phantoms and real slices (documentation/benchmarks.md)."""

    coding: Standardised = Standardised()  # MR standardised in the head; HU neither windowed nor in grey levels
    widths: tuple[int, ...] = tuple(32 * growth for growth in GROWTH)  # channels, from full resolution down
    batch_size: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up_steps: int = 50
    gradient_clip: float = 1.0  # norm of the gradient of all weights
    ema_decay: float = 0.999  # a step, of the average of the weights that synthesises; 0: the last weights do
    augment_intensity: float = 0.0  # probability of each change of the MR's intensities
    augment_geometry: float = 0.0  # probability of a rotation and scale of MR and CT
    left_right_flip: float = 0.0  # probability of a mirrored head; sagittal slices change places with neighbours
    rounds: int = added_later(1)  # after each but the last the training CTs are moved onto the sCTs so far

    def __post_init__(self) -> None:
        check_ranges(
            self,
            widths=(1, 2048),
            batch_size=(1, 1024),
            learning_rate=(1e-12, 1),
            weight_decay=(0, 1),
            warm_up_steps=(0, 1_000_000),
            gradient_clip=(1e-6, 1e6),
            ema_decay=(0, 1 - 1e-6),
            augment_intensity=(0, 1),
            augment_geometry=(0, 1),
            left_right_flip=(0, 1),
            rounds=(1, 20),
        )
        if not 2 <= len(self.widths) <= 10:
            raise ValueError(f"widths must hold 2 to 10 levels, not {len(self.widths)}")


class UNetRegression(TrainerInRounds):
    """Masked L1 of the HU inside the head, where both scans are known."""

    Settings = UNetSettings
    paired = True
    made = "moved_cts"
    size_multiple = 1  # the network pads by itself

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        # Cost goes with the square of the width, as the parameters do.
        width = max(4, round(32 * math.sqrt(configuration.network_width)))
        smallest = min(configuration.training.crop_size)
        levels = max(2, min(len(GROWTH), 1 + int(math.log2(smallest / MIN_PIXELS))))
        rule = f"halved down to {MIN_PIXELS} pixels; 32 channels at full resolution, by the root of network_width"
        measured = {"crop": list(configuration.training.crop_size), "network_width": configuration.network_width}
        settings = cls.Settings(widths=tuple(width * growth for growth in GROWTH[:levels]))
        return PlannedSettings(settings, {"widths": Reason(rule, measured)})

    @classmethod
    def training_plan(cls, training: TrainingPlan, settings: UNetSettings) -> TrainingPlan:
        return replace(training, batch_size=settings.batch_size)

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: UNetSettings) -> dict[str, nn.Module]:
        return {"syn_ct": UNet(configuration.input.channels, 1, settings.widths)}

    def prepare_training(self) -> None:
        self.syn_ct = self.add_average("syn_ct", self.settings.ema_decay)  # what learns
        self.synthesis = self.add_adam(
            "synthesis", self.syn_ct, betas=ADAM_BETAS, weight_decay=self.settings.weight_decay
        )
        self.augmentation = self.add_generator("augmentation")

    def learning_rate_factor(self, epoch: int, step: int, steps: int) -> float:
        """A short warm-up, then a cosine to zero (Loshchilov and Hutter 2017), in each round."""
        number, step, steps = self.place_in_round(step, steps)
        warm_up = min(1.0, (step + 1) / (self.settings.warm_up_steps + 1))
        cosine = warm_up * 0.5 * (1 + math.cos(math.pi * step / steps))
        return LATER_ROUNDS * cosine if number else cosine

    def make_slices(self, cached: CachedSlices, folders: RoundFolders, number: int, progress: Progress) -> None:
        pairs = MovedPairs(cached, self.configuration.preprocessing)
        pairs.write(folders.of(number), number, self.stack_sct_hu, progress=progress)

    def augment(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Other scanners and other positions, as far as the settings ask for them."""
        settings, seen = self.settings, self.configuration.input
        outside = settings.coding.mr_outside, settings.coding.ct_outside
        if settings.augment_geometry or settings.left_right_flip:
            placements = augmentation.draw_placements(
                self.augmentation, len(batch["mr"]), settings.augment_geometry, settings.left_right_flip
            )
            spacing = pixel_mm(self.configuration.preprocessing, seen.plane)
            batch = augmentation.place(batch, outside, placements, spacing, seen.plane, seen.n_slices)
        if settings.augment_intensity:
            changes = augmentation.draw_intensity_changes(
                self.augmentation, batch["mr"].shape, seen.mr_channels, settings.augment_intensity
            )
            batch = batch | {"mr": augmentation.change_intensities(batch["mr"], outside[0], changes)}
        return batch

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        with self.autocast():
            l1 = masked_l1_loss(self.syn_ct(batch["mr"]), batch["ct"], batch["head"])
        self.update(self.synthesis, l1, clip=self.settings.gradient_clip)
        self.update_averages()
        return {"l1": l1.detach()}
