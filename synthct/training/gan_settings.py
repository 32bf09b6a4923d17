"""The settings that CycleGAN and pix2pix share in Wolterink et al. 2017: grey levels, networks and Adam."""

from __future__ import annotations

from dataclasses import dataclass

from synthct.imaging.coding import GreyLevels
from synthct.json_dataclasses import check_ranges
from synthct.planning import rules
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.method_settings import PlannedSettings, mr_windows
from synthct.planning.plan import Configuration


@dataclass(frozen=True)
class GanSettings:
    """Sections 3.1 and 4; implementation details of Zhu et al. 2017."""

    coding: GreyLevels = GreyLevels()  # 256 grey levels in windows of HU and MR intensities
    base_channels: int = 64  # of the synthesis networks
    n_blocks: int = 9  # residual blocks of these
    discriminator_base_channels: int = 64
    learning_rate: float = 2e-4
    adam_betas: tuple[float, float] = (0.5, 0.999)

    def __post_init__(self) -> None:
        check_ranges(
            self,
            base_channels=(1, 512),
            n_blocks=(1, 64),
            discriminator_base_channels=(1, 512),
            learning_rate=(1e-12, 1),
            adam_betas=(0, 1 - 1e-12),
        )

    @classmethod
    def planned(cls, configuration: Configuration, fingerprint: Fingerprint | None) -> PlannedSettings:
        """Windows by the MRs' intensities, blocks by the crop, width by the configuration; the rest is the paper's."""
        windows, window_reasons = mr_windows(configuration, fingerprint)
        blocks = rules.n_blocks(configuration.training.crop_size)
        width = max(1, round(64 * configuration.network_width))
        settings = cls(
            coding=GreyLevels(mr_windows=windows),
            base_channels=width,
            n_blocks=blocks.value,
            discriminator_base_channels=width,
        )
        reasons = {f"coding.{path}": reason for path, reason in window_reasons.items()}
        return PlannedSettings(settings, reasons | {"n_blocks": blocks.reason})
