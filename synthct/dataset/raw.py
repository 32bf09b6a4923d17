"""A raw dataset on disk: ``dataset.json``, ``imagesTr``, ``targetsTr``, ``masksTr`` and the same for ``Ts``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from synthct.dataset.description import read_description
from synthct.dataset.numbered_patients import numbered_patients, numbered_sentence
from synthct.dataset.registration_record import Registration
from synthct.errors import DatasetError
from synthct.paths import RootName

MHD_DATA = (".raw", ".zraw")  # endings of the data file beside an .mhd header
_FILLED_BY = {
    "synthct_raw": "synthct_make_example writes one to try",
    "synthct_preprocessed": "synthct_plan_and_preprocess makes them of raw datasets",
    "synthct_results": "synthct_train writes trained models there",
}
_FOLDER_NAME = re.compile(r"Dataset(\d{3})_(.+)")


@dataclass(frozen=True)
class CaseFiles:
    """The files of one patient."""

    patient: str
    mr: tuple[Path, ...]  # a file a channel, in channel order; empty without an MR
    ct: Path | None
    mask: Path | None  # optional head mask given by the user
    registration: Registration | None = None  # of the CT to the MR; None takes them unregistered

    @property
    def aligned(self) -> bool:
        """Whether MR and CT may be taken to show the same place: not where their registration failed."""
        return self.registration is None or self.registration.status != "failed"

    @property
    def paired(self) -> bool:
        """Whether the patient has both an MR and a CT, and they are aligned."""
        return bool(self.mr) and self.ct is not None and self.aligned

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that there are."""
        return (*self.mr, *(path for path in (self.ct, self.mask) if path is not None))

    def key(self) -> str:
        """Changes with :meth:`files_key` and with the registration."""
        if self.registration is None:
            return self.files_key()
        return hashlib.sha256(f"{self.files_key()} {self.registration}".encode()).hexdigest()[:16]

    def files_key(self) -> str:
        """Changes when a file is added, removed, renamed, resized or written again.

        Of a patient with a mask it changed once more, when heads were no longer judged by given masks.
        """
        # The voxels of an .mhd header are in a file beside it.
        beside = [path.with_suffix(ending) for path in self.files if path.suffix == ".mhd" for ending in MHD_DATA]
        stats = [(path.name, path.stat()) for path in (*self.files, *filter(Path.is_file, beside))]
        states = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        judged_by = [] if self.mask is None else ["found heads"]
        return hashlib.sha256(repr([*states, *judged_by]).encode()).hexdigest()[:16]


class Problem(NamedTuple):
    """What is wrong with files of one patient, or of the whole dataset where ``patient`` is None; a sentence."""

    patient: str | None
    sentence: str


@dataclass(frozen=True)
class RawDataset:
    """What a dataset folder holds; nothing is read but ``dataset.json`` and the file names."""

    folder: Path
    channel_names: tuple[str, ...]
    file_ending: str
    training: dict[str, CaseFiles]
    test: dict[str, CaseFiles]
    problems: tuple[Problem, ...]  # names that do not fit the layout; the integrity check reports them

    @property
    def name(self) -> str:
        """The folder's name, such as ``Dataset001_HeadPhantom``."""
        return self.folder.name

    @staticmethod
    def open(folder: Path) -> RawDataset:
        """List a dataset folder.

        Raises:
            DatasetError: ``dataset.json`` is missing or malformed.
        """
        folder = Path(folder)
        description = folder / "dataset.json"
        channel_names, file_ending = read_description(description)
        problems: list[Problem] = []
        sets = {part: _list_cases(folder, part, len(channel_names), file_ending, problems) for part in ("Tr", "Ts")}
        return RawDataset(folder, channel_names, file_ending, sets["Tr"], sets["Ts"], tuple(problems))

    @property
    def failed_registrations(self) -> tuple[str, ...]:
        """The training patients whose MR and CT cannot be used as a pair, since their registration failed."""
        return tuple(name for name, case in self.training.items() if case.mr and case.ct and not case.aligned)

    def without(self, patients: Collection[str]) -> RawDataset:
        """The dataset as if it did not hold these patients, neither to train on nor to test."""
        if not patients:
            return self
        training, test = (
            {name: case for name, case in cases.items() if name not in patients} for cases in (self.training, self.test)
        )
        problems = tuple(problem for problem in self.problems if problem.patient not in patients)
        return replace(self, training=training, test=test, problems=problems)


def find_dataset_folder(root: Path, dataset: str, kind: RootName = "synthct_raw") -> Path:
    """The folder of a dataset given as ``1``, ``001`` or ``Dataset001_Brain`` under ``root``.

    Args:
        root: the folder of the datasets.
        dataset: number or name.
        kind: which of the three folders ``root`` is; a message says what fills it.

    Raises:
        DatasetError: there is none, or there are several with that number.
    """
    root = Path(root)
    if not str(dataset).isdecimal():
        if _FOLDER_NAME.fullmatch(dataset) and (root / dataset).is_dir():
            return root / dataset
        raise DatasetError(f"There is no dataset {dataset} in {root}.{_known(root, kind)}")
    number = int(dataset)
    found = [path for path in _dataset_folders(root) if int(path.name[7:10]) == number]
    if len(found) > 1:
        raise DatasetError(
            f"{root} holds {len(found)} datasets with number {number} "
            f"({', '.join(path.name for path in found)}); rename all but one."
        )
    if not found:
        raise DatasetError(f"There is no dataset with number {number:03d} in {root}.{_known(root, kind)}")
    return found[0]


def _dataset_folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("Dataset*") if path.is_dir() and _FOLDER_NAME.fullmatch(path.name))


def _known(root: Path, kind: RootName) -> str:
    names = [path.name for path in _dataset_folders(root)]
    if names:
        return f" It holds {', '.join(names)}."
    return f" It holds none yet; {_FILLED_BY[kind]}."


def _list_cases(folder: Path, part: str, n_channels: int, ending: str, problems: list[Problem]) -> dict[str, CaseFiles]:
    """Cases of one part (``Tr`` or ``Ts``); what does not fit is listed in ``problems``."""
    mr: dict[str, dict[int, Path]] = {}
    images = _image_files(folder / f"images{part}", ending, problems)
    ct = {stem: path for path, stem in _image_files(folder / f"targets{part}", ending, problems)}
    numbered = numbered_patients([stem for _, stem in images], n_channels, ct)
    for text, names in numbered.items():
        sentence = f"{folder / f'images{part}'}: {numbered_sentence(text, names, ending)}"
        problems.append(Problem(None, sentence))  # leaving patients out does not help
    for path, stem in images:
        if any(stem in names for names in numbered.values()):
            mr[stem] = dict.fromkeys(range(n_channels), path)  # a patient, of whom nothing else is said
            continue
        match = re.fullmatch(r"(.+)_(\d{4})", stem)
        if match is None:
            remedy = f"rename it to {stem}_0000{ending}"
            problems.append(
                Problem(stem, f"{path}: an MR is named PATIENT_0000{ending} with the channel's number; {remedy}.")
            )
        elif int(match[2]) >= n_channels:
            remedy = f"channel {match[2]} is not in dataset.json, which names {n_channels} channel(s)"
            remedy += "; add it there or remove the file"
            if match[1] in mr or n_channels == 1:
                remedy += f". If {stem} is a patient, rename the file to {stem}_0000{ending}"
            problems.append(Problem(match[1], f"{path}: {remedy}."))
        else:
            mr.setdefault(match[1], {})[int(match[2])] = path
    for patient, channels in mr.items():
        for channel in sorted(set(range(n_channels)) - set(channels)):
            wanted = folder / f"images{part}" / f"{patient}_{channel:04d}{ending}"
            remedy = f"every patient needs all {n_channels} MR channel(s); add the file, or remove the patient's others"
            problems.append(Problem(patient, f"{wanted} is missing: {remedy}."))
    for patient, path in ct.items():
        if re.fullmatch(r".+_0000", patient) and patient[:-5] in mr:
            remedy = f"a CT has no channel number; rename it to {patient[:-5]}{ending}"
            problems += [Problem(name, f"{path}: {remedy}.") for name in (patient, patient[:-5])]
    masks = {stem: path for path, stem in _image_files(folder / f"masks{part}", ending, problems)}
    for patient in sorted(set(masks) - set(mr) - set(ct)):
        remedy = f"there is neither an MR nor a CT of '{patient}'; rename or remove the mask"
        problems.append(Problem(patient, f"{masks[patient]}: {remedy}."))
    return {
        patient: CaseFiles(
            patient,
            tuple(mr[patient][channel] for channel in sorted(mr[patient])) if patient in mr else (),
            ct.get(patient),
            masks.get(patient),
        )
        for patient in sorted(set(mr) | set(ct))
    }


def _image_files(folder: Path, ending: str, problems: list[Problem]) -> list[tuple[Path, str]]:
    """(path, name without ending) of the images in a folder; other endings are problems, hidden files are not."""
    found = []
    if folder.exists() and not folder.is_dir():
        problems.append(Problem(None, f"{folder} is a file; make it a folder, or remove it."))
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        if path.name.endswith(ending):
            found.append((path, path.name[: -len(ending)]))
        elif not (ending == ".mhd" and path.suffix in MHD_DATA):
            patient = re.sub(r"_\d{4}$", "", path.name.partition(".")[0])
            remedy = f"dataset.json says that files end in {ending}; convert or remove the file"
            problems.append(Problem(patient, f'{path}: {remedy}, or change "file_ending".'))
    return found
