"""Under ``python -OO``, which strips docstrings, scikit-image 0.26 cannot be imported without help."""

import sys
from collections.abc import Callable


def let_scikit_image_work_without_docstrings() -> None:
    """Under ``python -OO`` only, replace the decorator of scikit-image that edits a docstring of a class.

    It edits a docstring that is not there, on import of ``skimage.transform``, which batchgenerators and the phantom
    need. The decorator changes nothing but that docstring. To be called before either is imported.
    """
    if sys.flags.optimize < 2:
        return
    from skimage._shared import utils

    if hasattr(utils, "_update_from_estimate_docstring"):  # not in 0.25
        utils._update_from_estimate_docstring = _unchanged


def _unchanged(decorated: Callable) -> Callable:
    return decorated
