"""Handing models on: a model folder <-> one zip file without anything in it that could be executed."""

from synthct.exchange.export import export_model
from synthct.exchange.install import check_model_file, install_model

__all__ = ["check_model_file", "export_model", "install_model"]
