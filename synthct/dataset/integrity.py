"""The integrity check of a raw dataset: all problems in one listing, a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.dataset.raw import CaseFiles, Problem, RawDataset
from synthct.errors import DatasetError, ImageError
from synthct.imaging.ct_units import ct_unit_problems, shows_air
from synthct.imaging.geometry import Grid
from synthct.imaging.io import read_image
from synthct.imaging.mask_file import read_head_mask
from synthct.parallel import IN_THIS_PROCESS, CaseRunner


def check_dataset(
    raw: RawDataset,
    *,
    checked: Collection[str] = (),
    may_lie_apart: bool = False,
    runner: CaseRunner = IN_THIS_PROCESS,
) -> None:
    """Read every image of a dataset once and check what the pipeline relies on.

    Args:
        raw: the dataset.
        checked: training patients who passed before and have not changed.
        may_lie_apart: whether MR and CT of a patient need not overlap in space, since they will be registered.
        runner: how the patients are worked through; one that skips bad cases takes the patients with problems.

    Raises:
        DatasetError: listing every problem: the file, what is wrong, how to fix it. Where bad patients are skipped,
            those of the whole dataset alone.
    """
    problems = list(raw.problems)
    if not raw.training:
        mr, ct = f"PATIENT_0000{raw.file_ending}", f"PATIENT{raw.file_ending}"
        remedy = f"put MRs into imagesTr ({mr}) and CTs into targetsTr ({ct})"
        problems.append(Problem(None, f"{raw.folder} holds no training patient: {remedy}."))
    for patient in sorted(set(raw.training) & set(raw.test)):
        remedy = f"patient '{patient}' is in the training and in the test set; remove one"
        problems.append(Problem(patient, f"{raw.folder}: {remedy}."))
    to_check = {f"training:{patient}": case for patient, case in raw.training.items() if patient not in checked}
    to_check |= {f"test:{patient}": case for patient, case in raw.test.items()}
    cases = {name: (case, may_lie_apart) for name, case in to_check.items()}
    checking = replace(runner, bad={}) if runner.skips_bad else runner  # a patient of both sets is two cases here
    found = checking.run(check_case, cases, describe="Checking")
    problems += [
        Problem(to_check[name].patient, sentence) for name, sentences in found.items() for sentence in sentences
    ]
    problems += [Problem(to_check[name].patient, sentence) for name, sentence in checking.left_out.items()]
    if runner.skips_bad:
        for problem in problems:
            if problem.patient is not None:
                runner.reject(problem.patient, DatasetError(problem.sentence))
        problems = [problem for problem in problems if problem.patient is None]
    if sentences := dict.fromkeys(problem.sentence for problem in problems):
        title = f"{raw.name} has {len(sentences)} problem{'s' * (len(sentences) > 1)}:"
        raise DatasetError("\n  - ".join([title, *sentences]))


def check_case(case: CaseFiles, may_lie_apart: bool = False) -> list[str]:
    """The problems of one patient's files."""
    problems: list[str] = []
    channels = [_read(path, problems) for path in case.mr]
    first = channels[0] if channels else None
    read = [(str(path), image) for path, image in zip(case.mr, channels) if image is not None]
    problems += _problems_of_channels(*zip(*read)) if first is not None else []
    ct = _read(case.ct, problems) if case.ct else None
    exchanged = [path for path, image in zip(case.mr, channels) if image is not None and shows_air(image)]
    ct_problems = _problems_of_any(ct, str(case.ct)) if ct is not None else []
    if exchanged and ct is not None and not ct_problems and not shows_air(ct):
        problems.append(f"{exchanged[0]} looks like a CT in HU and {case.ct} does not; exchange MR and CT.")
    else:
        for path in exchanged:
            problems.append(_exchanged_sentence(str(path)))
        if ct is not None:
            problems += ct_problems or ct_unit_problems(ct, str(case.ct))
    if not may_lie_apart and first is not None and ct is not None and not _overlap(first, ct):
        problems.append(
            f"{case.ct} does not overlap {case.mr[0].name} in space; register the CT to the MR (--register) or fix "
            "its origin."
        )
    mask = _read(case.mask, problems, _mask_of) if case.mask else None
    if mask is not None and not sitk.GetArrayViewFromImage(mask).any():
        problems.append(f"{case.mask} is empty; draw the head in it, or remove it to have the head found.")
    elif (
        mask is not None
        and (scans := [scan for scan in (first, ct) if scan is not None])
        and not any(_overlap(mask, scan) for scan in scans)
    ):
        problems.append(f"{case.mask} lies beside the patient's scans; draw it on the MR or the CT, or remove it.")
    return problems


def check_mr(channels: Sequence[sitk.Image], names: Sequence[str]) -> None:
    """Whether images that have been read are the channels of an MR that a network can be shown.

    Args:
        channels: on one grid.
        names: what each is called in the message.

    Raises:
        ImageError: the first problem, and how to fix it.
    """
    problems = _problems_of_channels(names, channels)
    problems += [_exchanged_sentence(name) for name, image in zip(names, channels) if shows_air(image)]
    if problems:
        raise ImageError(problems[0])


def _exchanged_sentence(name: str) -> str:
    return f"{name} looks like a CT in HU, not like an MR; if MR and CT are exchanged, exchange them again."


def _problems_of_channels(names: Sequence[str], channels: Sequence[sitk.Image]) -> list[str]:
    problems = [problem for name, image in zip(names, channels) for problem in _problems_of_any(image, name)]
    first = channels[0]
    for name, image in zip(names[1:], channels[1:]):
        if not Grid.of(first).matches(Grid.of(image)):
            problems.append(
                f"{name} lies on another grid than {Path(names[0]).name} "
                f"({_grid_text(image)} against {_grid_text(first)}); resample it to the first channel."
            )
    return problems


def _mask_of(path: Path) -> sitk.Image:
    return read_head_mask(path)[0]


def _read(path: Path, problems: list[str], reader: Callable[[Path], sitk.Image] = read_image) -> sitk.Image | None:
    try:
        return reader(path)
    except ImageError as fault:
        problems.append(str(fault))
        return None


def _problems_of_any(image: sitk.Image, name: str) -> list[str]:
    values = sitk.GetArrayViewFromImage(image)
    if values.min() == values.max():
        return [f"{name} is empty: every voxel is {values.flat[0]:g}; export it again."]
    return []


def _overlap(first: sitk.Image, second: sitk.Image) -> bool:
    """Whether the boxes around both images in space share any volume."""
    a, b = Grid.of(first).corners, Grid.of(second).corners
    return bool((np.maximum(a.min(axis=0), b.min(axis=0)) < np.minimum(a.max(axis=0), b.max(axis=0))).all())


def _grid_text(image: sitk.Image) -> str:
    size = " x ".join(map(str, image.GetSize()))
    spacing = " x ".join(f"{value:.3g}" for value in image.GetSpacing())
    origin = ", ".join(f"{value:.4g}" for value in image.GetOrigin())
    return f"{size} voxels of {spacing} mm at ({origin})"
