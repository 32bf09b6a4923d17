"""Where datasets and models live: three environment variables in nnU-Net's manner, read when needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from synthct.errors import FolderError

RootName = Literal["synthct_raw", "synthct_preprocessed", "synthct_results"]


def root_folder(name: RootName, environ: Mapping[str, str] | None = None, current: Path | None = None) -> Path:
    """The folder that the environment variable ``name`` names; else the folder of that name in the current directory.

    Args:
        name: ``synthct_raw``, ``synthct_preprocessed`` or ``synthct_results``.
        environ: the environment; this process's by default.
        current: the current directory; this process's by default.

    Raises:
        FolderError: the variable is unset and there is no such folder here, or it names something that is not a folder.
    """
    value = (os.environ if environ is None else environ).get(name)
    folder = Path(value) if value else (Path.cwd() if current is None else current) / name
    if folder.is_dir():
        return folder
    if value:
        state = "which is a file" if folder.exists() else "which does not exist"
        raise FolderError(
            f"The environment variable {name} names {folder}, {state}; create that folder or set another."
        )
    raise FolderError(
        f"The environment variable {name} is not set and there is no folder {name} in {folder.parent}; "
        f"set it (export {name}=/path/to/{name}) or create the folder."
    )
