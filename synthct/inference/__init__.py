"""Trained models on new MRs: the Predictor and the folders of files around it."""

from synthct.inference.predictor import CycleSlice, Predictor

__all__ = ["CycleSlice", "Predictor"]
