"""synthct: self-configuring MR-to-CT synthesis for MR-only radiotherapy."""

from synthct.stripped_docstrings import let_scikit_image_work_without_docstrings

__version__ = "0.1.0"

let_scikit_image_work_without_docstrings()
