"""A trained model in memory: MR in, synthetic CT in HU on the MR's own grid out."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from synthct.dataset.images import CaseImages, head_masks
from synthct.errors import ModelError, PlanError
from synthct.imaging.geometry import Grid, resample_mask
from synthct.imaging.head_mask import PLAUSIBLE_VOLUME_L, volume_litres
from synthct.imaging.intensity import from_network, to_network
from synthct.imaging.io import check_volume
from synthct.networks import ResnetGenerator
from synthct.planning.plan import Configuration, Plan
from synthct.preprocessing.case import check_channels, slices_of_case
from synthct.preprocessing.inverse import slices_to_hu, volume_from_slices
from synthct.preprocessing.slice_stack import HEAD, SliceStack
from synthct.records import to_plain
from synthct.training.checkpoint import load_checkpoint
from synthct.training.device import select_device
from synthct.training.precision import choose_prediction_precision

CHECKPOINT = "checkpoint_final.pth"
SLICES_AT_ONCE = {"cpu": 1, "cuda": 4}  # a CPU loses more time on fresh memory than it gains by larger products
BRIGHTEST_PERCENTILE = 99.5  # inside the head; where a fixed MR window ends
_logger = logging.getLogger("synthct")


@dataclass(frozen=True)
class CycleSlice:
    """One slice through both networks (the seed's figure 6); float32 (rows, cols), MR in grey levels."""

    mr: np.ndarray
    sct_hu: np.ndarray
    reconstructed_mr: np.ndarray
    head: np.ndarray  # bool
    pixel_mm: tuple[float, float]


class Predictor:
    """One model, of one or several folds whose sCTs are averaged.

    Args:
        plan: of the dataset that the model was trained on.
        configuration_name: the plan's configuration that it was trained with.
        networks: a table of state dicts a fold: ``syn_ct`` and, for a CycleGAN, ``syn_mr``.
        device: where to compute; the best there is by default.
        precision: ``auto``, ``float32`` or ``bfloat16``, which is faster and differs by less than 1 HU on average.

    Attributes:
        precision, precision_reason: ``float32`` or ``bfloat16``, and why.
    """

    def __init__(
        self,
        plan: Plan,
        configuration_name: str,
        networks: Sequence[dict[str, dict[str, torch.Tensor]]],
        device: torch.device | str | None = None,
        precision: str = "auto",
    ) -> None:
        self.plan = plan
        self.configuration: Configuration = plan.configuration(configuration_name)
        self.device = torch.device(device) if device is not None else select_device()[0]
        self.precision, self.precision_reason = choose_prediction_precision(precision, self.device)
        channels = self.configuration.network.mr_channels
        self._syn_ct = [self._generator(states["syn_ct"], channels, 1) for states in networks]
        self._syn_mr = [self._generator(states["syn_mr"], 1, channels) for states in networks if "syn_mr" in states]

    @staticmethod
    def from_model_folder(
        folder: Path | str,
        folds: Sequence[int | str] | None = None,
        *,
        checkpoint: str = CHECKPOINT,
        device: torch.device | str | None = None,
        precision: str = "auto",
    ) -> Predictor:
        """Load a model folder; nothing else is needed, not even an environment variable.

        Args:
            folder: such as ``synthct_results/Dataset001_Brain/cyclegan__plans__2d``, or a copy of it anywhere.
            folds: those to average, each once; every trained one by default.
            checkpoint: the checkpoint's file name in each fold.
            device: such as ``cpu`` or ``cuda:0``; the best there is by default.
            precision: ``auto``, ``float32`` or ``bfloat16``.

        Raises:
            ModelError: something is missing or damaged, and where.
        """
        folder = Path(folder)
        plan_path = folder / "plans.json"
        if not plan_path.is_file():
            raise ModelError(
                f"{folder} is not a model folder: it has no plans.json; give the folder that holds fold_0."
            )
        try:
            plan = Plan.load(plan_path)
        except PlanError as fault:
            raise ModelError(str(fault)) from None
        names = trained_folds(folder, checkpoint) if folds is None else list(dict.fromkeys(map(str, folds)))
        if not names:
            raise ModelError(f"{folder} holds no {checkpoint} in any fold; train it, or choose another with -chk.")
        paths = [folder / f"fold_{name}" / checkpoint for name in names]
        loaded = [load_checkpoint(path, "cpu") for path in paths]
        for path, content in zip(paths, loaded):
            networks = content["networks"]
            if not isinstance(networks, dict) or not isinstance(networks.get("syn_ct"), dict):
                raise ModelError(f"{path} holds no network syn_ct; restore it or train again.")
            if content["configuration"] not in plan.configurations:
                raise ModelError(
                    f"{plan_path} has no configuration '{content['configuration']}', with which {path} was trained; "
                    "restore the plans.json that it was trained with."
                )
        networks = [content["networks"] for content in loaded]
        return Predictor(plan, loaded[0]["configuration"], networks, device, precision)

    @cached_property
    def model_hash(self) -> str:
        """12 hexadecimal digits that stand for the configuration and the weights, wherever their files lie."""
        digest = hashlib.sha256(json.dumps(to_plain(self.configuration), sort_keys=True).encode())
        for network in self._syn_ct:
            for name, weights in sorted(network.state_dict().items()):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(weights.cpu().numpy()))
        return digest.hexdigest()[:12]

    def predict(
        self,
        mr: sitk.Image | Sequence[sitk.Image],
        *,
        head_mask: sitk.Image | None = None,
        grid: Grid | None = None,
        name: str = "The MR",
    ) -> sitk.Image:
        """Synthesise a CT; a warning is logged where the MR is unlike those that the model was trained on.

        Args:
            mr: the MR, or its channels in the model's order, in scanner units, any grid.
            head_mask: non-zero inside the head, any grid; found in the MR by default.
            grid: of the sCT, in the MR's physical space; the network's slices are sampled on it directly, so that
                another grid than the MR's costs no second interpolation. The MR's own by default.
            name: of the MR in messages, such as its path.

        Returns:
            int16 HU with the size, spacing, origin and direction of the MR, or of ``grid``; -1000 outside the head.

        Raises:
            ImageError: an image is no scalar 3-D volume of finite values, the channels do not fit, or no head was
                found.
        """
        images = self._images(mr, head_mask, name)
        masks = head_masks(images)
        stack = slices_of_case(images, self.configuration.preprocessing, masks)
        for doubt in self._doubts(images, masks.mr):
            _logger.warning(doubt)
        hu = slices_to_hu(self.synthesize(stack), self.configuration.preprocessing)
        head = masks.mr if grid is None else resample_mask(masks.mr, grid)
        return volume_from_slices(hu, Grid.from_plain(stack.info["grid"]), head)

    def cycle(self, mr: sitk.Image | Sequence[sitk.Image], position: float = 0.5) -> CycleSlice:
        """MR -> sCT -> MR for the slice at a relative position through the head (0: first slice, 1: last).

        Raises:
            ModelError: the model has no network back to MR (only a CycleGAN has).
        """
        if not self._syn_mr:
            raise ModelError("This model has no network from CT to MR; only a cyclegan reconstructs the MR.")
        stack = slices_of_case(self._images(mr), self.configuration.preprocessing)
        levels = self.configuration.preprocessing.grey_levels
        index = round(position * (stack.regions.shape[0] - 1))
        grey = stack.mr[:, index]
        with torch.inference_mode():  # in float32: the figure shows small errors
            batch = torch.from_numpy(to_network(grey[None], levels)).to(self.device)  # (1, C, H, W)
            sct = torch.stack([network(batch) for network in self._syn_ct]).mean(0)
            back = torch.stack([network(sct) for network in self._syn_mr]).mean(0)
        return CycleSlice(
            mr=grey[0].astype(np.float32),
            sct_hu=slices_to_hu(sct[0, 0].cpu().numpy(), self.configuration.preprocessing),
            reconstructed_mr=from_network(back[0, 0].cpu().numpy(), levels),
            head=(stack.regions[index] & HEAD) > 0,
            pixel_mm=self.configuration.preprocessing.network_spacing_mm[1:],
        )

    def _images(
        self, mr: sitk.Image | Sequence[sitk.Image], head_mask: sitk.Image | None = None, name: str = "The MR"
    ) -> CaseImages:
        channels = (mr,) if isinstance(mr, sitk.Image) else tuple(mr)
        for number, channel in enumerate(channels):
            check_volume(channel, name if len(channels) == 1 else f"{name}, channel {number},")
        if head_mask is not None:
            check_volume(head_mask, f"{name}: the head mask")
        check_channels(channels, self.configuration.network.mr_channels, name)
        return CaseImages(name, channels, given_mask=head_mask)

    def _doubts(self, images: CaseImages, head_mask: sitk.Image) -> list[str]:
        """A sentence for each sign that the sCT will be wrong; the head mask lies on the MR's grid."""
        doubts = []
        volume, (least, most) = volume_litres(head_mask), PLAUSIBLE_VOLUME_L
        if not least <= volume <= most:
            doubts.append(
                f"{images.patient}: the head in it has {volume:.1f} l, and heads have {least:g} to {most:g} l; "
                "check the image and its voxel spacing, or give a mask of the head."
            )
        inside = sitk.GetArrayViewFromImage(head_mask) > 0
        for channel, window in zip(images.mr, self.configuration.preprocessing.mr_windows):
            if window.kind == "fixed":
                brightest = float(np.percentile(sitk.GetArrayViewFromImage(channel)[inside], BRIGHTEST_PERCENTILE))
                if not window.high / 2 <= brightest <= window.high * 2:
                    doubts.append(
                        f"{images.patient}: the MR's intensities reach {brightest:g} in the head, and the model was "
                        f"trained on MRs up to about {window.high:g}; "
                        "use an MR of the same scale or a model with a percentile window."
                    )
        return doubts

    def synthesize(self, stack: SliceStack) -> np.ndarray:
        """Network output (slices, rows, cols) in [-1, 1], averaged over the folds.

        A black slice, without head, is the window's lower end: of a flat image, instance norm would make noise.
        """
        levels = self.configuration.preprocessing.grey_levels
        output = np.full(stack.regions.shape, -1, np.float32)
        with_head = np.flatnonzero(stack.mr.any(axis=(0, 2, 3)))
        at_once = SLICES_AT_ONCE.get(self.device.type, 1)
        with torch.inference_mode():
            for start in range(0, len(with_head), at_once):
                chosen = with_head[start : start + at_once]
                grey = stack.mr[:, chosen].swapaxes(0, 1)  # (B, C, H, W)
                batch = torch.from_numpy(to_network(grey, levels)).to(self.device)
                folds = torch.stack([self._through(network, batch)[:, 0] for network in self._syn_ct])
                output[chosen] = folds.mean(0).cpu().numpy()
        return output

    def _through(self, network: ResnetGenerator, batch: torch.Tensor) -> torch.Tensor:
        return network.mostly_in_bfloat16(batch) if self.precision == "bfloat16" else network(batch)

    def _generator(self, state: dict[str, torch.Tensor], in_channels: int, out_channels: int) -> ResnetGenerator:
        network = self.configuration.network
        generator = ResnetGenerator(in_channels, out_channels, network.base_channels, network.n_blocks)
        try:
            generator.load_state_dict(state)
        except RuntimeError as fault:
            raise ModelError(
                f"The checkpoint does not fit the network in plans.json ({str(fault).splitlines()[-1].strip()}); "
                "restore the plans.json that it was trained with."
            ) from None
        return generator.to(self.device).eval()


def trained_folds(folder: Path, checkpoint: str = CHECKPOINT) -> list[str]:
    """The folds of a model folder that hold that checkpoint, such as ``["0", "1", "all"]``."""
    return sorted(path.parent.name.removeprefix("fold_") for path in Path(folder).glob(f"fold_*/{checkpoint}"))
