"""A trained model in memory: MR in, synthetic CT in HU on the MR's own grid out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import SimpleITK as sitk
import torch

from synthct.accelerate.bfloat16 import bfloat16_is_measured, synthesis_forward
from synthct.counted import counted
from synthct.dataset.images import CaseImages, found_heads, head_masks
from synthct.errors import ModelError
from synthct.imaging.geometry import Grid, resample_mask
from synthct.imaging.intensity import from_network
from synthct.imaging.io import check_volume
from synthct.imaging.mask_file import head_mask_of
from synthct.inference.measure_prediction import measure_prediction
from synthct.inference.model_hash import hash_model
from synthct.inference.prediction import CycleSlice, Prediction
from synthct.inference.read_model import Model, read_model, read_other_planes
from synthct.inference.synthesis import (
    COMBINATIONS,
    Combination,
    NetworkOutput,
    SynthesisOptions,
    over_planes,
    synthesize_stack,
)
from synthct.model_folder import CHECKPOINT_FINAL
from synthct.planning.plan import Configuration, pixel_mm
from synthct.preprocessing.case import check_channels, slices_of_case
from synthct.preprocessing.inverse import map_from_slices, volume_from_slices
from synthct.preprocessing.network_input import padded_to_multiple
from synthct.preprocessing.slice_stack import HEAD, SliceStack
from synthct.qa.judge import judge
from synthct.qa.measure_sct import Measurements
from synthct.qa.qa_reference import Reference
from synthct.qa.qa_report import QaReport
from synthct.training.device import select_device
from synthct.training.precision import choose_prediction_precision

CYCLE_EVERY = 8  # one slice in so many goes back to MR for quality assurance: prediction takes an eighth longer
# fast: the model's folds. best: also mirrored heads, and the models of other planes that lie beside it.
Quality = Literal["fast", "best"]
_logger = logging.getLogger("synthct")


class Predictor:
    """One model, of one or several folds whose sCTs are combined.

    Args:
        model: its plan, method and weights, and what predictions are compared with.
        device: where to compute; the best there is by default.
        precision: ``auto``, ``float32`` or ``bfloat16``, which is faster and differs by less than 1 HU on average.
        combine: how the folds' sCTs become one: ``mean`` or ``median``.
        mirror: each fold also synthesises the head mirrored, left for right.
        other_planes: predictors of the same volumes' slices in other planes; the sCT is the median over the planes.

    Attributes:
        precision, precision_reason: ``float32`` or ``bfloat16``, and why.
        n_folds: that are combined.
    """

    def __init__(
        self,
        model: Model,
        device: torch.device | str | None = None,
        precision: str = "auto",
        *,
        combine: Combination = "mean",
        mirror: bool = False,
        other_planes: Sequence[Predictor] = (),
    ) -> None:
        if combine not in COMBINATIONS:
            raise ValueError(f"combine must be one of {', '.join(COMBINATIONS)}, not {combine!r}")
        self.model, self.combine = model, combine
        self.mirror = mirror and model.input.plan.shows_both_sides
        self.other_planes = tuple(other_planes)
        self.method, self.input = model.method, model.input
        self.plan, self.fingerprint, self.reference = model.plan, model.fingerprint, model.reference
        self.configuration: Configuration = model.configuration
        self.device = torch.device(device) if device is not None else select_device()[0]
        self._networks = [
            {name: network.to(self.device) for name, network in model.build_networks(states).items()}
            for states in model.networks
        ]
        measured = all(bfloat16_is_measured(network) for fold in self._networks for network in fold.values())
        self.precision, self.precision_reason = choose_prediction_precision(precision, self.device, measured)

    @staticmethod
    def from_model_folder(
        folder: Path | str,
        folds: Sequence[int | str] | None = None,
        *,
        checkpoint: str = CHECKPOINT_FINAL,
        device: torch.device | str | None = None,
        precision: str = "auto",
        combine: Combination = "mean",
        quality: Quality = "fast",
    ) -> Predictor:
        """Load a model folder; nothing else is needed, not even an environment variable.

        Args:
            folder: such as ``synthct_results/Dataset001_Brain/cyclegan__plans__2d``, or a copy of it anywhere.
            folds: those to combine, each once; every trained one by default.
            checkpoint: the checkpoint's file name in each fold.
            device: such as ``cpu`` or ``cuda:0``; the best there is by default.
            precision: ``auto``, ``float32`` or ``bfloat16``.
            combine: ``mean`` or ``median`` of the folds.
            quality: ``fast``, or ``best``: with mirrored heads, and with the models beside the folder that differ
                from it in the plane of their slices alone.

        Raises:
            ModelError: something is missing or damaged, and where; or the method is not installed.
        """
        if quality not in get_args(Quality):
            raise ValueError(f"quality must be one of {', '.join(get_args(Quality))}, not {quality!r}")
        best = quality == "best"
        planes = [read_model(Path(folder), folds, checkpoint)]
        if best:
            planes += read_other_planes(Path(folder), folds, checkpoint)
        first, *others = planes
        other_planes = [
            Predictor(plane_model, device, precision, combine=combine, mirror=best) for plane_model in others
        ]
        return Predictor(first, device, precision, combine=combine, mirror=best, other_planes=other_planes)

    @property
    def n_folds(self) -> int:
        """How many folds are combined."""
        return len(self._networks)

    @property
    def n_combined(self) -> int:
        """How many sCTs become one: of every fold and plane, and of mirrored heads."""
        return self.n_folds * (1 + self.mirror) + sum(plane.n_combined for plane in self.other_planes)

    def combined_words(self) -> list[str]:
        """What an sCT is combined of, for users: of each plane such as ``axial slices of 4 folds, also mirrored``."""
        own = f"{self.input.plan.plane} slices of {counted(self.n_folds, 'fold')}{', also mirrored' * self.mirror}"
        return [own, *(words for plane in self.other_planes for words in plane.combined_words())]

    @property
    def has_cycle(self) -> bool:
        """Whether the method has a way back to MR, as a CycleGAN has."""
        size = 8 * self.method.size_multiple
        sct = torch.zeros((1, 1, size, size), device=self.device)
        with torch.inference_mode():
            return self.method.reconstruct(self._networks[0], sct) is not None

    @cached_property
    def model_hash(self) -> str:
        """12 hexadecimal digits that stand for plan, method and weights, wherever their files lie."""
        hashes = [plane.model_hash for plane in self.other_planes]
        return hash_model(self.model, self._networks, mirror=self.mirror, other_planes=hashes)

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
            head_mask: any grid, values as of a mask file (:func:`synthct.imaging.mask_file.head_mask_of`); found in the
                MR by default.
            grid: of the sCT, in the MR's physical space; the network's slices are sampled on it directly, so that
                another grid than the MR's costs no second interpolation. The MR's own by default.
            name: of the MR in messages, such as its path.

        Returns:
            int16 HU with the size, spacing, origin and direction of the MR, or of ``grid``; -1000 outside the head.

        Raises:
            ImageError: an image is not a scalar 3-D volume of finite values, the channels do not fit, or no head was
                found; the mask is not one.
        """
        prediction = self.predict_with_qa(mr, head_mask=head_mask, grid=grid, name=name, cycle_every=0)
        assert prediction.qa is not None  # it is left out on request alone
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
            assess: False leaves the measurements and the status out.

        Raises:
            ImageError: as of :meth:`predict`.
        """
        images = self._images(mr, head_mask, name)
        masks = head_masks(images)
        stack = slices_of_case(images, self.configuration.preprocessing, masks)
        output = self.synthesize(stack, cycle_every=cycle_every)
        qa = None
        if assess:
            found = found_heads(images, masks).the_mr
            qa = self.judged(measure_prediction(images, found, stack, output, self.model), self.reference)
        place = Grid.from_plain(stack.info["grid"]), masks.the_mr if grid is None else resample_mask(masks.the_mr, grid)
        cycle_error = output.cycle_error if cycle_every == 1 else None
        return Prediction(
            sct=volume_from_slices(output.sct_hu, *place),
            uncertainty=None if output.spread_hu is None else map_from_slices(output.spread_hu, *place),
            cycle_error=None if cycle_error is None else map_from_slices(np.nan_to_num(cycle_error), *place),
            qa=qa,
            head=place[1],
        )

    def judged(self, measured: Measurements, reference: Reference | None) -> QaReport:
        """The QA status of what was measured in a prediction, compared with a reference."""
        windows = self.input.coding.expected_mr(self.configuration.input.mr_channels)
        return QaReport(measured, judge(measured, windows, self.fingerprint, reference), self.model_hash, self.n_folds)

    @property
    def hu_range(self) -> tuple[float, float]:
        """The lowest and the highest HU that an sCT of this model can show."""
        return self.model.hu_range

    def cycle(self, mr: sitk.Image | Sequence[sitk.Image], position: float = 0.5) -> CycleSlice:
        """MR -> sCT -> MR for the slice at a relative position through the head (0: first slice, 1: last).

        Raises:
            ModelError: the model has no network back to MR (only a CycleGAN has).
        """
        if not self.has_cycle:
            raise ModelError("This model has no network from CT to MR; only a cyclegan reconstructs the MR.")
        stack = slices_of_case(self._images(mr), self.configuration.preprocessing)
        view = stack.in_plane(self.input.plan.plane)
        index = round(position * (view.n_slices - 1))
        rows, cols = view.regions.shape[1:]
        image = padded_to_multiple(self.input.mr(view, index), self.method.size_multiple, self.input.coding.mr_outside)
        with torch.inference_mode():  # in float32: the figure shows small errors
            batch = torch.from_numpy(np.ascontiguousarray(image))[None].to(self.device)  # (1, C, H, W)
            sct = torch.stack([self.method.synthesize(networks, batch) for networks in self._networks]).mean(0)
            ways_back = [self.method.reconstruct(networks, sct) for networks in self._networks]
            again = torch.stack([mr_again for mr_again in ways_back if mr_again is not None]).mean(0)
        return CycleSlice(
            mr=from_network(self.input.middle(image)[0, :rows, :cols]),
            sct_hu=self.input.coding.network_to_hu(sct[0, 0, :rows, :cols].cpu().numpy()),
            reconstructed_mr=from_network(self.input.middle(again[0].cpu().numpy())[0, :rows, :cols]),
            head=(view.regions[index] & HEAD) > 0,
            pixel_mm=pixel_mm(self.configuration.preprocessing, view.plane),
        )

    def _images(
        self, mr: sitk.Image | Sequence[sitk.Image], head_mask: sitk.Image | None = None, name: str = "The MR"
    ) -> CaseImages:
        channels = (mr,) if isinstance(mr, sitk.Image) else tuple(mr)
        for number, channel in enumerate(channels):
            check_volume(channel, name if len(channels) == 1 else f"{name}, channel {number},")
        if head_mask is not None:
            check_volume(head_mask, f"{name}: the head mask")
            head_mask, _ = head_mask_of(head_mask, f"{name}: the head mask")
        check_channels(channels, self.configuration.input.mr_channels, name)
        return CaseImages(name, channels, given_mask=head_mask)

    def synthesize(self, stack: SliceStack, *, cycle_every: int = 0, every: int = 1) -> NetworkOutput:
        """What the networks make of a patient's slices; see :func:`synthct.inference.synthesis.synthesize_stack`."""
        folds = [
            {name: synthesis_forward(network, self.precision) for name, network in networks.items()}
            for networks in self._networks
        ]
        output = synthesize_stack(
            stack,
            self.method,
            self.input,
            folds,
            self.device,
            SynthesisOptions(self.combine, cycle_every, every, self.mirror),
        )
        return over_planes([output, *(plane.synthesize(stack) for plane in self.other_planes)])
