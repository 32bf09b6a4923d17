"""Handing models on: a model folder <-> one zip file without anything in it that could be executed."""

from synthct.exchange.export import ExportOptions, export_model
from synthct.exchange.install import check_model_file, install_model

__all__ = ["ExportOptions", "check_model_file", "export_model", "install_model"]
