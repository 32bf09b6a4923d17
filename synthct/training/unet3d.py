"""A residual 3-D U-Net trained on pairs by its error alone, for a GPU: patches of the volume instead of slices.

The encoder of nnU-Net's ResEnc presets (Isensee et al. 2024), which won the MR-to-CT task of SynthRAD2025 as a
regression. Loss, augmentation, rate of learning and average of weights are those of ``unet``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from synthct.errors import TrainingError
from synthct.json_dataclasses import check_ranges
from synthct.networks.patches import SlabNetwork
from synthct.networks.training_cost import TrainingCost, training_cost
from synthct.networks.unet3d import ResidualUNet3d, initialise
from synthct.planning import rules
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings
from synthct.planning.plan import Configuration, Reason, TrainingPlan, voxel_mm
from synthct.training.trainer import Network
from synthct.training.unet import UNetRegression, UNetSettings
from synthct.tuples import triple_of

Patch = tuple[int, int, int]  # slices, rows, cols

WIDTHS, BLOCKS = (32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6)  # level by level
PATCH_MM = (96.0, 128.0, 128.0)
SIDE_STEP = 32  # voxels: sides of planned patches are multiples of it
MIN_VOXELS = 4  # along the longest side of the coarsest level
ASSUMED_GPU_GIB = 12.0  # where the plan is made on a machine without a GPU
SHARE_OF_MEMORY = 0.8  # the rest is for the gradients of features and for the libraries
CPU_FLOP_PER_S = 1e11  # of 3-D convolutions on some eight cores
MAX_CPU_SECONDS = 10.0  # a step


@dataclass(frozen=True)
class UNet3dSettings(UNetSettings):
    """Those of ``unet``, and what is particular to patches; not yet tried on a GPU."""

    widths: tuple[int, ...] = WIDTHS
    batch_size: int = 2
    learning_rate: float = 3e-4
    warm_up_steps: int = 500
    blocks: tuple[int, ...] = BLOCKS  # residual blocks of the encoder's levels
    patch: Patch = (96, 128, 128)  # voxels (slices, rows, cols), in training and in prediction

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, blocks=(1, 100), patch=(4, 1024), rounds=(1, 1))
        if len(self.blocks) != len(self.widths):
            raise ValueError(f"blocks must hold a number for each of the {len(self.widths)} widths")
        if any(side % 4 for side in self.patch[1:]):
            raise ValueError(f"patch must have multiples of 4 as its rows and cols, not {list(self.patch)}")
        if max(self.patch) <= 2 ** (len(self.widths) - 1):
            raise ValueError(f"patch {list(self.patch)} is one voxel at the last of {len(self.widths)} levels")


class UNet3dRegression(UNetRegression):
    """Masked L1 of the HU inside the head, where both scans are known, in patches of the volume."""

    Settings = UNet3dSettings
    dimensions = 3

    @classmethod
    def plan_settings(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        """The patch by voxels and memory; the levels by the patch; the width by ``network_width``."""
        mm = voxel_mm(configuration.preprocessing, configuration.input.plane)
        room = (math.inf, *configuration.training.crop_size)  # which shows whole slices
        patch: Patch = triple_of(_side(wanted / spacing, limit) for wanted, spacing, limit in zip(PATCH_MM, mm, room))
        memory, gpu = (math.inf, "any") if fingerprint is None else _gpu_gib()
        settings = _settings_for(patch, configuration.network_width)
        while cls.cost(configuration, settings).gib > SHARE_OF_MEMORY * memory and max(patch) > SIDE_STEP:
            longest = patch.index(max(patch))
            patch = triple_of(side - SIDE_STEP * (axis == longest) for axis, side in enumerate(patch))
            settings = _settings_for(patch, configuration.network_width)
        cost = cls.cost(configuration, settings)
        sides = " x ".join(f"{side:g}" for side in PATCH_MM)
        rule = (
            f"{sides} mm in multiples of {SIDE_STEP} voxels, its longest side shortened until a step in batches of "
            f"{settings.batch_size} takes at most {SHARE_OF_MEMORY:.0%} of the GPU's memory"
        )
        measured = {
            "voxel mm": [round(spacing, 3) for spacing in mm],
            "GPU": gpu,
            "estimated for a step, GiB": round(cost.gib, 1),
        }
        level_reason = Reason(
            f"nnU-Net's, by the root of network_width, halved down to {MIN_VOXELS} voxels along the longest side",
            {"patch": list(patch), "network_width": configuration.network_width},
        )
        return PlannedSettings(
            settings, {"patch": Reason(rule, measured), "widths": level_reason, "blocks": level_reason}
        )

    @classmethod
    def training_plan(cls, training: TrainingPlan, settings: UNetSettings) -> TrainingPlan:
        assert isinstance(settings, UNet3dSettings)
        crop = settings.patch[1:]
        return replace(training, batch_size=settings.batch_size, crop_size=crop, padded_size=rules.padded_size(crop))

    @classmethod
    def slab(cls, settings: UNet3dSettings) -> int:
        return settings.patch[0]

    @classmethod
    def check_device(cls, configuration: Configuration, settings: UNet3dSettings, device: torch.device) -> None:
        if device.type != "cpu":
            return
        cost = cls.cost(configuration, settings)
        seconds = cost.flop / CPU_FLOP_PER_S
        if seconds > MAX_CPU_SECONDS:
            raise TrainingError(
                f"unet3d with patches of {' x '.join(map(str, settings.patch))} voxels in batches of "
                f"{settings.batch_size} takes about {cost.gib:.1f} GiB of memory and, on a CPU, {seconds:.0f} s a "
                "step; train it on a GPU, or train unet with -c 2d here."
            )

    @classmethod
    def cost(cls, configuration: Configuration, settings: UNet3dSettings) -> TrainingCost:
        """What a training step is estimated to take, in float32."""
        return _cost(configuration.input.mr_channels, settings)

    @classmethod
    def build_networks(cls, configuration: Configuration, settings: UNetSettings) -> dict[str, nn.Module]:
        assert isinstance(settings, UNet3dSettings)
        return {"syn_ct": _network(configuration.input.mr_channels, settings)}

    def initialise(self, network: nn.Module) -> None:
        initialise(network, self.generator)

    @classmethod
    def synthesize_volume(
        cls, networks: Mapping[str, Network], mr: Callable[[np.ndarray], Tensor], shown: np.ndarray, at_once: int
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        """All slices of the head as one slab, which the network goes through in overlapping patches."""
        if len(shown):
            stack = mr(np.arange(shown[0], shown[-1] + 1))  # with those that are left out between them
            sct = cls.synthesize(networks, stack.flatten(0, 1)[None])[0]  # (slices, rows, cols)
            yield shown, sct[torch.from_numpy(shown - shown[0]).to(sct.device)][:, None]


def _network(mr_channels: int, settings: UNet3dSettings) -> nn.Module:
    return SlabNetwork(ResidualUNet3d(mr_channels, 1, settings.widths, settings.blocks), mr_channels, settings.patch)


@functools.lru_cache(maxsize=64)
def _cost(mr_channels: int, settings: UNet3dSettings) -> TrainingCost:
    slices, rows, cols = settings.patch
    shape = (settings.batch_size, slices * mr_channels, rows, cols)
    return training_cost(lambda: _network(mr_channels, settings), shape)


def _settings_for(patch: Patch, network_width: float) -> UNet3dSettings:
    levels = max(2, min(len(WIDTHS), 1 + int(math.log2(max(patch) / MIN_VOXELS))))
    width = math.sqrt(network_width)  # cost goes with the square of the width
    widths = tuple(max(4, round(width * factor)) for factor in WIDTHS[:levels])
    return UNet3dSettings(widths=widths, blocks=BLOCKS[:levels], patch=patch)


def _side(voxels: float, limit: float) -> int:
    """The multiple of SIDE_STEP next to that many voxels, within a slice."""
    whole = SIDE_STEP * max(1, round(voxels / SIDE_STEP))
    return whole if whole <= limit else int(limit // SIDE_STEP * SIDE_STEP or limit)


def _gpu_gib() -> tuple[float, str]:
    """Memory of the GPU at hand, else of the one that is assumed; and what it is, in words."""
    if not torch.cuda.is_available():
        return ASSUMED_GPU_GIB, f"none here; one of {ASSUMED_GPU_GIB:g} GiB is assumed"
    properties = torch.cuda.get_device_properties(0)
    gib = properties.total_memory / 2**30
    return gib, f"{properties.name}, {gib:.1f} GiB"
