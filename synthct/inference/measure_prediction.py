"""What quality assurance measures in a prediction: the MR, the sCT, and how the networks agree on it."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from synthct.dataset.images import CaseImages
from synthct.imaging.geometry import Grid, resample_mask
from synthct.inference.read_model import Model
from synthct.inference.synthesis import NetworkOutput
from synthct.preprocessing.slice_stack import HEAD, SliceStack
from synthct.qa.measure_sct import Measurements, measure_output
from synthct.qa.mr_facts import measure_mr


def measure_prediction(
    images: CaseImages, found: sitk.Image, stack: SliceStack, output: NetworkOutput, model: Model
) -> Measurements:
    """Measure an MR and the sCT that was made of it.

    Args:
        images: of the patient.
        found: the head in the MR, whatever mask was given: only so can patients be compared.
        stack: the patient's slices.
        output: what the model's networks made of them.
        model: that predicted.
    """
    head = in_found_head(stack, found)
    facts = None
    if head.any():
        facts = measure_output(
            output.sct_hu,
            head,
            model.configuration.preprocessing,
            model.hu_range,
            n_folds=len(model.networks),
            spread_hu=output.plane_spread_hu if len(model.networks) > 1 else None,  # the reference's is over folds
            cycle_error=output.cycle_error,
        )
    return Measurements(measure_mr(images.mr, found, images.mr_scanned), facts)


def in_found_head(stack: SliceStack, found: sitk.Image) -> np.ndarray:
    """Where slices have both the head mask and a head that was found, on any grid; bool (slices, rows, cols)."""
    on_slices = resample_mask(found, Grid.from_plain(stack.info["grid"]))
    return ((stack.regions & HEAD) > 0) & (sitk.GetArrayFromImage(on_slices) > 0)
