"""A trained model in memory: MR in, synthetic CT in HU on the MR's own grid out."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from synthct.accelerate.bfloat16 import bfloat16_is_measured
from synthct.accelerate.convolutions import with_fast_convolutions
from synthct.dataset.images import CaseImages, head_masks
from synthct.errors import ModelError
from synthct.imaging.geometry import Grid, resample_mask
from synthct.imaging.intensity import from_network, to_network
from synthct.imaging.io import check_volume
from synthct.inference.ensemble import COMBINATIONS, Combination, NetworkOutput, run_networks
from synthct.inference.loading import CHECKPOINT, read_model
from synthct.inference.prediction import CycleSlice, Prediction
from synthct.json_dataclasses import to_plain
from synthct.networks import ResnetGenerator
from synthct.planning.fingerprint import Fingerprint
from synthct.planning.plan import Configuration, Plan
from synthct.preprocessing.case import check_channels, slices_of_case
from synthct.preprocessing.inverse import map_from_slices, slices_to_hu, slices_to_hu_spread, volume_from_slices
from synthct.preprocessing.slice_stack import HEAD, SliceStack
from synthct.qa.judge import judge
from synthct.qa.measure_sct import Measurements, measure_output
from synthct.qa.mr_facts import measure_mr
from synthct.qa.qa_reference import Reference
from synthct.qa.qa_report import QaReport
from synthct.training.device import select_device
from synthct.training.precision import choose_prediction_precision

CYCLE_EVERY = 8  # one slice in so many goes back to MR for quality assurance: prediction takes an eighth longer
_logger = logging.getLogger("synthct")


class Predictor:
    """One model, of one or several folds whose sCTs are combined.

    Args:
        plan: of the dataset that the model was trained on.
        configuration_name: the plan's configuration that it was trained with.
        networks: a table of state dicts a fold: ``syn_ct`` and, for a CycleGAN, ``syn_mr``.
        device: where to compute; the best there is by default.
        precision: ``auto``, ``float32`` or ``bfloat16``, which is faster and differs by less than 1 HU on average.
        combine: how the folds' sCTs become one: ``mean`` or ``median``.
        fingerprint: of the training dataset, which MRs are held against.
        reference: what the model did on held-out patients, which predictions are held against.

    Attributes:
        precision, precision_reason: ``float32`` or ``bfloat16``, and why.
        n_folds: that are combined.
    """

    def __init__(
        self,
        plan: Plan,
        configuration_name: str,
        networks: Sequence[dict[str, dict[str, torch.Tensor]]],
        device: torch.device | str | None = None,
        precision: str = "auto",
        *,
        combine: Combination = "mean",
        fingerprint: Fingerprint | None = None,
        reference: Reference | None = None,
    ) -> None:
        if combine not in COMBINATIONS:
            raise ValueError(f"combine must be one of {', '.join(COMBINATIONS)}, not {combine!r}")
        self.plan, self.combine = plan, combine
        self.fingerprint, self.reference = fingerprint, reference
        self.configuration: Configuration = plan.configuration(configuration_name)
        self.device = torch.device(device) if device is not None else select_device()[0]
        channels = self.configuration.network.mr_channels
        self._syn_ct = [self._generator(states["syn_ct"], channels, 1) for states in networks]
        self._syn_mr = [self._generator(states["syn_mr"], 1, channels) for states in networks if "syn_mr" in states]
        measured = all(bfloat16_is_measured(network) for network in (*self._syn_ct, *self._syn_mr))
        self.precision, self.precision_reason = choose_prediction_precision(precision, self.device, measured)

    @staticmethod
    def from_model_folder(
        folder: Path | str,
        folds: Sequence[int | str] | None = None,
        *,
        checkpoint: str = CHECKPOINT,
        device: torch.device | str | None = None,
        precision: str = "auto",
        combine: Combination = "mean",
    ) -> Predictor:
        """Load a model folder; nothing else is needed, not even an environment variable.

        Args:
            folder: such as ``synthct_results/Dataset001_Brain/cyclegan__plans__2d``, or a copy of it anywhere.
            folds: those to combine, each once; every trained one by default.
            checkpoint: the checkpoint's file name in each fold.
            device: such as ``cpu`` or ``cuda:0``; the best there is by default.
            precision: ``auto``, ``float32`` or ``bfloat16``.
            combine: ``mean`` or ``median`` of the folds.

        Raises:
            ModelError: something is missing or damaged, and where.
        """
        model = read_model(Path(folder), folds, checkpoint)
        return Predictor(
            model.plan,
            model.configuration_name,
            model.networks,
            device,
            precision,
            combine=combine,
            fingerprint=model.fingerprint,
            reference=model.reference,
        )

    @property
    def n_folds(self) -> int:
        """How many folds are combined."""
        return len(self._syn_ct)

    @property
    def has_cycle(self) -> bool:
        """Whether every fold has a network back to MR, as a CycleGAN's has."""
        return len(self._syn_mr) == len(self._syn_ct)

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
        """Synthesise a CT; a warning is logged where the MR or the sCT is unlike those of the training.

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
        prediction = self.predict_with_qa(mr, head_mask=head_mask, grid=grid, name=name, cycle_every=0)
        for reason in prediction.qa.reasons:
            _logger.warning(f"{name}: {reason}")
        return prediction.sct

    def predict_with_qa(
        self,
        mr: sitk.Image | Sequence[sitk.Image],
        *,
        head_mask: sitk.Image | None = None,
        grid: Grid | None = None,
        name: str = "The MR",
        cycle_every: int = CYCLE_EVERY,
        assess: bool = True,
    ) -> Prediction:
        """Synthesise a CT, and say what it is worth; nothing is logged.

        Args:
            mr, head_mask, grid, name: as of :meth:`predict`.
            cycle_every: of a CycleGAN, every so many-th slice goes back to MR; 1 gives a map and doubles the time, 0
                leaves it out.
            assess: False leaves the measurements and the verdict out.

        Raises:
            ImageError: as of :meth:`predict`.
        """
        images = self._images(mr, head_mask, name)
        masks = head_masks(images)
        plan = self.configuration.preprocessing
        stack = slices_of_case(images, plan, masks)
        output = self.run_networks(stack, cycle_every)
        hu = slices_to_hu(output.sct, plan)
        spread_hu = None if output.spread is None else slices_to_hu_spread(output.spread, plan)
        cycle_error = None if output.cycle_error is None else output.cycle_error * np.float32(100 / 2)  # of [-1, 1]
        qa = None
        if assess:
            head = (stack.regions & HEAD) > 0
            of_output = {"spread_hu": spread_hu, "cycle_error": cycle_error, "cycle_slices": output.cycle_slices}
            qa = self._assess(images, masks.mr, hu, head, of_output)
        place = Grid.from_plain(stack.info["grid"]), masks.mr if grid is None else resample_mask(masks.mr, grid)
        return Prediction(
            sct=volume_from_slices(hu, *place),
            uncertainty=None if spread_hu is None else map_from_slices(spread_hu, *place),
            cycle_error=map_from_slices(cycle_error, *place) if cycle_error is not None and cycle_every == 1 else None,
            qa=qa,
        )

    def _assess(
        self, images: CaseImages, head_mask: sitk.Image, hu: np.ndarray, head: np.ndarray, of_output: dict
    ) -> QaReport:
        plan = self.configuration.preprocessing
        output = measure_output(hu, head, plan, n_folds=self.n_folds, **of_output) if head.any() else None
        measured = Measurements(measure_mr(images.mr, head_mask, images.mr_scanned), output)
        verdict = judge(measured, plan.mr_windows, self.fingerprint, self.reference)
        return QaReport(measured, verdict, self.model_hash, self.n_folds)

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

    def synthesize(self, stack: SliceStack) -> np.ndarray:
        """The sCT of a patient's slices (slices, rows, cols) in network units, [-1, 1]; -1 in slices without head."""
        return self.run_networks(stack).sct

    def run_networks(self, stack: SliceStack, cycle_every: int = 0) -> NetworkOutput:
        """All that the networks make of a patient's slices; see :func:`synthct.inference.ensemble.run_networks`."""
        return run_networks(
            stack.mr,
            self.configuration.preprocessing.grey_levels,
            self._syn_ct,
            self._syn_mr if self.has_cycle else (),
            device=self.device,
            precision=self.precision,
            combine=self.combine,
            cycle_every=cycle_every,
        )

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
        return with_fast_convolutions(generator).to(self.device).eval()
