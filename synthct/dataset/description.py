"""``dataset.json`` of a raw dataset: the channels' names and the files' ending, and whatever else its author put in."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthct.errors import DatasetError
from synthct.files import read_json
from synthct.imaging.io import FILE_ENDINGS
from synthct.json_dataclasses import shown

READ_KEYS = ("channel_names", "file_ending", "name", "description", "licence")  # the rest is kept and not read
# Other spellings that are none of ours, so that they are not misspelt ones: nnU-Net's.
_OTHERS = ("license",)
_ALIKE = 0.8  # difflib's ratio of a misspelt key


def read_description(path: Path) -> tuple[tuple[str, ...], str]:
    """The names of the MR channels in their order, and the ending of all image files.

    Keys that synthct does not read, such as those that nnU-Net writes, are the author's own affair.

    Raises:
        DatasetError: the file is missing or malformed, or a key is one of ours misspelt.
    """
    content = read_json(
        path, DatasetError, missing='write one such as {"channel_names": {"0": "T1"}, "file_ending": ".nii.gz"}'
    )
    if not isinstance(content, dict):
        raise DatasetError(f'{path} must hold a table such as {{"channel_names": {{"0": "T1"}}, "file_ending": ...}}.')
    for key, meant in _misspelt(content).items():
        raise DatasetError(f"{path}: the key {shown(key)} is not known and looks like '{meant}'; correct or remove it.")
    channels = content.get("channel_names")
    if (
        not isinstance(channels, dict)
        or not channels
        or sorted(channels) != sorted(str(i) for i in range(len(channels)))
        or not all(isinstance(name, str) and name and name.isprintable() for name in channels.values())
    ):
        raise DatasetError(
            f'{path}: "channel_names" must number the MR channels from "0", such as {{"0": "T1", "1": "T2"}}.'
        )
    ending = content.get("file_ending")
    if ending not in FILE_ENDINGS:
        raise DatasetError(f'{path}: "file_ending" must be one of {", ".join(FILE_ENDINGS)}, not {shown(ending)}.')
    return tuple(channels[str(i)] for i in range(len(channels))), ending


def _misspelt(content: Mapping[str, Any]) -> dict[str, str]:
    """Keys that look like one of ours, and which one."""
    ours = {_bare(key): key for key in READ_KEYS}
    found = {}
    for key in sorted(content.keys() - {*READ_KEYS, *_OTHERS}):
        bare = _bare(key)
        close = difflib.get_close_matches(bare, ours, 1, _ALIKE)
        exchanged = [name for name in ours if sorted(name) == sorted(bare)]  # letters in another order
        if close or exchanged:
            found[key] = ours[(close or exchanged)[0]]
    return found


def _bare(key: str) -> str:
    return "".join(letter for letter in key.casefold() if letter.isalnum())
