"""What of an image file's name is the patient's, and which MR and CT are of one patient.

``P01_T1`` and ``P01_CT``, ``MR_007`` and ``CT_007``, ``sub-01_ses-1_acq-mprage_T1w`` and ``sub-01_ses-1_ct`` name a
patient and a modality. Names that are equal are matched first, then names without their words of modality, then BIDS
names without run and session: the first way by which exactly one MR and one CT agree makes a pair.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from synthct.errors import DatasetError
from synthct.json_dataclasses import is_name

MODALITY_WORDS = frozenset(
    "mr mri mrt t1 t1w t1wi t1n t1c t1ce t1wce t1gd t1wgd t1post t1postgd t1km t2 t2w t2wi t2n t2f t2flair t2star "
    "pd pdw flair gd mprage mp2rage unit1 spgr fspgr bravo vibe "
    "ct cts pct planct planningct simct refct mask masks headmask".split()
)
_SEPARATORS = re.compile(r"([_\-. ]+)")
_BIDS = re.compile(r"sub-[^_]+(_.*)?")
_BIDS_KEPT = ("sub", "ses", "run")
WAYS = 4  # names as they are, without modality; of BIDS names without run, and without session too

File = TypeVar("File", bound=Hashable)


@dataclass(frozen=True)
class Matched(Generic[File]):
    """Which files are of which patient.

    Attributes:
        mr, ct: the file by patient.
        ambiguous: files of one kind that would be of one patient, by that patient; they are in neither of the above.
        renamed: patients whose MR and CT have other names than each other.
    """

    mr: dict[str, File] = field(default_factory=dict)
    ct: dict[str, File] = field(default_factory=dict)
    ambiguous: dict[str, list[File]] = field(default_factory=dict)
    renamed: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> list[str]:
        """Patients with both."""
        return [patient for patient in self.mr if patient in self.ct]


def patient_of(name: str, way: int = 1) -> str:
    """The patient's part of a file name without its ending.

    Args:
        name: such as ``P01_T1_0000``.
        way: 0: all of it, but for a channel number ``_0000``; 1: without words of modality; 2 and 3: of BIDS names
            (``sub-...``) without run, and without session too.
    """
    bare = re.sub(r"(?<=.)_0000$", "", name)
    if way == 0:
        return bare
    if _BIDS.fullmatch(bare):
        entities = [part.partition("-") for part in bare.split("_")]
        wanted = _BIDS_KEPT[: len(_BIDS_KEPT) + 1 - way]
        return "_".join(f"{key}-{value}" for key, _, value in entities if key in wanted)
    parts = _SEPARATORS.split(bare)
    words, before = parts[::2], ["", *parts[1::2]]
    spoken = [(separator, word) for separator, word in zip(before, words) if word.lower() not in MODALITY_WORDS]
    text = "".join(separator + word for separator, word in spoken).strip("_-. ")
    return text or bare


def key_of(patient: str) -> str:
    """What is equal for names that differ in case and separators alone."""
    return _SEPARATORS.sub("_", patient).casefold()


def match_names(mr: Mapping[File, str], ct: Mapping[File, str]) -> Matched[File]:
    """Match MRs and CTs by their names.

    Args:
        mr, ct: the name without ending of each file.

    Returns:
        Every file once. Names of files without a partner lose their words of modality, unless two would then be one.
    """
    left = {"mr": dict(mr), "ct": dict(ct)}
    matched: Matched[File] = Matched()
    numbered = _numbered([*mr.values(), *ct.values()])
    taken: dict[str, set[str]] = {
        "mr": set(),
        "ct": set(),
    }  # keys of what is matched, by which a second file of a patient is found
    for way in range(-1, WAYS):
        keys = {kind: _by_key(names, way) for kind, names in left.items()}
        for key in [key for key in keys["mr"] if key in keys["ct"]]:
            files = {kind: keys[kind][key] for kind in keys}
            name = left["mr"][files["mr"][0]]
            patient = name if way == -1 and name in numbered else patient_of(name, max(way, 0))
            if max(map(len, files.values())) == 1 and patient not in matched.mr:
                matched.mr[patient], matched.ct[patient] = files["mr"][0], files["ct"][0]
                if way > 0:
                    matched.renamed.append(patient)
            else:
                doubled = max(files.values(), key=len)
                also = [matched.mr[patient]] if patient in matched.mr and len(doubled) == 1 else []
                matched.ambiguous.setdefault(patient, []).extend([*also, *doubled])
            for kind in left:
                for file in files[kind]:
                    taken[kind].add(key_of(patient_of(left[kind].pop(file))))
    for kind, found in (("mr", matched.mr), ("ct", matched.ct)):
        _name_the_rest(left[kind], taken[kind], found, matched, {"mr": mr, "ct": ct}[kind])
    return matched


def match_by_pattern(mr: Mapping[File, str], ct: Mapping[File, str], pattern: re.Pattern[str]) -> Matched[File]:
    """The same by a regular expression: the patient is its first group, or all of its match where it has none.

    Raises:
        DatasetError: it does not match a name, or what it matches cannot name a patient.
    """
    matched: Matched[File] = Matched()
    for names, found in ((mr, matched.mr), (ct, matched.ct)):
        doubled: dict[str, list[File]] = {}
        for file, name in names.items():
            doubled.setdefault(patient_by_pattern(file, name, pattern), []).append(file)
        for patient, files in doubled.items():
            if len(files) == 1:
                found[patient] = files[0]
            else:
                matched.ambiguous[patient] = files
    return matched


def patient_by_pattern(file: Hashable, name: str, pattern: re.Pattern[str]) -> str:
    """See :func:`match_by_pattern`."""
    match = pattern.search(name)
    patient = match and (match[1] if pattern.groups else match[0])
    if not patient or not is_name(patient):
        raise DatasetError(
            f"{file}: the pattern '{pattern.pattern}' finds no patient in '{name}'; give one that matches the names of "
            "all files, or rename the file."
        )
    return patient


def _by_key(names: Mapping[File, str], way: int) -> dict[str, list[File]]:
    keys: dict[str, list[File]] = {}
    for file, name in names.items():
        keys.setdefault(name if way == -1 else key_of(patient_of(name, way)), []).append(file)
    return keys


def _numbered(names: list[str]) -> set[str]:
    """Names ending in _0000 that begin a numbering of patients: there is another number after the same text."""
    stems: dict[str, set[str]] = {match[1]: set() for name in names if (match := re.fullmatch(r"(.+)_(\d{4})", name))}
    for name in names:
        if match := re.fullmatch(r"(.+)_(\d{4})", name):
            stems.setdefault(match[1], set()).add(match[2])
    return {f"{stem}_0000" for stem, numbers in stems.items() if len(numbers) > 1}


def _name_the_rest(
    left: Mapping[File, str], taken: set[str], found: dict[str, File], matched: Matched[File], names: Mapping[File, str]
) -> None:
    """Name files without a partner; a second file of a patient who has been matched is ambiguous."""
    keys = _by_key(left, 1)
    for key, files in keys.items():
        if key in taken:
            patient = patient_of(left[files[0]])
            others = [file for file in found.values() if key_of(patient_of(names[file])) == key]
            matched.ambiguous.setdefault(patient, []).extend([*others, *files])
            continue
        for file in files:
            patient = patient_of(left[file], 1 if len(files) == 1 else 0)
            if patient in found or patient in matched.pairs:
                patient = left[file]
            if patient in found:
                matched.ambiguous.setdefault(patient, [found[patient]]).append(file)
            else:
                found[patient] = file
