"""Paired MR and CT head phantoms: known anatomy, realistic contrast, the misalignments of real pairs."""

from synthct.dataset.phantom.example import make_example_dataset
from synthct.dataset.phantom.patient import PhantomPatient, make_phantom_patient
from synthct.dataset.phantom.tissues import T1_SEED, GradientEcho

__all__ = ["T1_SEED", "GradientEcho", "PhantomPatient", "make_example_dataset", "make_phantom_patient"]
