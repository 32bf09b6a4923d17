"""Measurements made by hand, for tests of what they are compared with."""

from __future__ import annotations

from dataclasses import replace

from synthct.imaging.coding import MrWindow
from synthct.qa import HuFacts, Measurements, MrFacts, PatientRecord, Reference
from synthct.qa.measure_sct import OutputFacts
from synthct.qa.mr_facts import QUANTILES, ChannelFacts

SIDE = ((0, 0, 90), (60, 130, 120), (80, 150, 140), (70, 140, 120), (20, 90, 60))  # neck at the back, face in front
WINDOWS = (MrWindow("percentile", 0, 99.5),)


def channel_facts(**changes: object) -> ChannelFacts:
    """A T1 channel."""
    values = {
        "median": 800.0,
        "brightest": 2000.0,
        "quantiles": tuple(0.1 + 2 * q for q in QUANTILES),
        "depth_profile": (1.1, 1.1, 0.7, 0.9, 1.0, 1.1, 1.2),
        "brain_dark": 0.6,
        "brain_bright": 1.2,
        "noise": 0.02,
        "background": 0.03,
        "shading": 1.2,
    }
    return ChannelFacts(**(values | changes))


def mr_facts(channel: ChannelFacts | None = None, **changes: object) -> MrFacts:
    """A head of 4 l."""
    values = {
        "orientation": "PIR",
        "oblique_deg": 0.0,
        "spacing_mm": (1.0, 0.87, 0.87),
        "field_of_view_mm": (183.0, 250.6, 250.6),
        "head_volume_l": 4.0,
        "cranium_size_mm": (155.0, 195.0),
        "mask_flags": (),
        "silhouette": SIDE,
        "channels": (channel or channel_facts(),),
    }
    return MrFacts(**(values | changes))


def output_facts(**changes: object) -> OutputFacts:
    """Of a CycleGAN of one fold."""
    hu = HuFacts(0.09, 0.70, 0.21, tuple(1000.0 * q - 300 for q in QUANTILES))
    values = {
        "hu": hu,
        "n_folds": 1,
        "uncertainty_head_hu": None,
        "uncertainty_bone_hu": None,
        "cycle_error_head": 5.0,
        "cycle_error_bone": 6.0,
    }
    return OutputFacts(**(values | changes))


def measurements(mr: MrFacts | None = None, **output: object) -> Measurements:
    """Of one patient."""
    return Measurements(mr or mr_facts(), output_facts(**output))


def reference_of(n_patients: int, **record: object) -> Reference:
    """Patients who differ a little from each other, around what ``mr_facts`` and ``output_facts`` say."""
    patients = {}
    for i in range(n_patients):
        step = 0.01 * (i - (n_patients - 1) / 2)
        quantiles = tuple(q + step for q in channel_facts().quantiles)
        channel = channel_facts(quantiles=quantiles, brain_dark=0.6 + step, noise=0.02 * (1 + step))
        mr = mr_facts(channel, cranium_size_mm=(155.0 * (1 + step), 195.0 * (1 - step)))
        output = output_facts(cycle_error_head=5.0 * (1 + step))
        moved = tuple(hu + 100 * step for hu in output.hu.quantiles_hu)
        output = replace(output, hu=replace(output.hu, quantiles_hu=moved))
        values = {"fold": "0", "mr": mr, "ct": output.hu, "output": output}
        patients[f"P{i:02d}"] = PatientRecord(**(values | record))
    return Reference(patients=patients)
