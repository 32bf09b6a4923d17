"""Patients numbered with four digits, ``case_0000``, ``case_0001``, ...: by their names alone channels of one MR."""

from __future__ import annotations

import re
from collections.abc import Collection

from synthct.counted import counted

_NUMBERED = re.compile(r"(.+)_(\d{4})")
_MAX_CHANNELS = 5  # of an MR; more numbers after one text are patients


def numbered_patients(names: Collection[str], n_channels: int, ct_names: Collection[str] = ()) -> dict[str, list[str]]:
    """The names that are more likely patients than channels, by the text before their numbers.

    They are where CTs have these names, or where there are at least two numbers more than channels, and not the same
    few for each of several patients.

    Args:
        names: of MR files, without their endings.
        n_channels: an MR of the dataset or model has.
        ct_names: of CT files, likewise.
    """
    numbers: dict[str, set[str]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            numbers.setdefault(match[1], set()).add(match[2])
    alike = len(numbers) > 1 and len(set(map(frozenset, numbers.values()))) == 1
    found = {}
    for stem, digits in numbers.items():
        ct_numbers = {number for number in digits if f"{stem}_{number}" in ct_names}
        many = len(digits) >= n_channels + 2 and (len(digits) > _MAX_CHANNELS or not alike)
        if ct_numbers - {"0000"} or many:
            found[stem] = [f"{stem}_{number}" for number in sorted(digits)]
    return found


def numbered_sentence(stem: str, names: Collection[str], ending: str = "") -> str:
    """What is wrong with such names and what to do, to go on after the folder."""
    first, *others = names
    those = f"{first}{ending} to {others[-1]}{ending} look like" if others else f"{first}{ending} looks like"
    return (
        f"{those} {counted(len(names), 'patient')} with a number of four digits, but the last four digits of an MR's "
        f"name are its channel, of a patient called '{stem}'; add the channel to every name: {first}_0000{ending}"
        + (f", {others[0]}_0000{ending}, and so on." if others else ".")
    )
