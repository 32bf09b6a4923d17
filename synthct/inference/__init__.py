"""Trained models on new MRs: the Predictor and the folders of files around it."""

from synthct.inference.prediction import CycleSlice, Prediction
from synthct.inference.predictor import Predictor

__all__ = ["CycleSlice", "Prediction", "Predictor"]
