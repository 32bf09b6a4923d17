"""Folders as hospitals and challenges lay them out, made into raw datasets."""

from synthct.dataset.importers.cases import ImportCase, Listing
from synthct.dataset.importers.formats import FORMATS, list_folder
from synthct.dataset.importers.importing import Imported, import_dataset

__all__ = ["FORMATS", "ImportCase", "Imported", "Listing", "import_dataset", "list_folder"]
