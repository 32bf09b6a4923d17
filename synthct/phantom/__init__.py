"""Paired MR and CT head phantoms: known anatomy, realistic contrast, the misalignments of real pairs."""

from synthct.phantom.example import make_example_dataset
from synthct.phantom.patient import PaintedPatient, PhantomOptions, PhantomPatient, make_phantom_patient
from synthct.phantom.sequences import FLAIR, PROTON_DENSITY, T1_INVERSION, T2, SpinEcho
from synthct.phantom.tissue_properties import T1_SEED, Contrast, GradientEcho

__all__ = [
    "FLAIR",
    "PROTON_DENSITY",
    "T1_INVERSION",
    "T1_SEED",
    "T2",
    "Contrast",
    "GradientEcho",
    "PaintedPatient",
    "PhantomOptions",
    "PhantomPatient",
    "SpinEcho",
    "make_example_dataset",
    "make_phantom_patient",
]
