"""Raw datasets of synthetic heads on disk, and the plans and fingerprints that tests need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk
from synthetic_heads import head_ct, head_mr, make_grid

from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.dataset.registration_record import FORMAT_VERSION, RegisterMode, Registration, RegistrationRecord
from synthct.imaging.alignment import Alignment
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning.configurations import reference_configuration
from synthct.planning.fingerprint import CaseFacts, Fingerprint, VolumeFacts
from synthct.planning.plan import FORMAT_VERSION as FORMAT_VERSION_OF_PLANS
from synthct.planning.plan import Configuration, Plan
from synthct.plugins import TRAINERS
from synthct.preprocessing.cache import cache_folder

PAIRED = {"mr", "ct"}


def describe(folder: Path, channels: tuple[str, ...] = ("T1",), ending: str = ".nii.gz") -> None:
    """Write ``dataset.json``."""
    names = {str(number): name for number, name in enumerate(channels)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"channel_names": names, "file_ending": ending}), encoding="utf-8")


def write_image(image: sitk.Image, path: Path) -> Path:
    """Write an image; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def write_dataset(
    folder: Path,
    patients: Mapping[str, set[str]],
    *,
    part: str = "Tr",
    channels: tuple[str, ...] = ("T1",),
    ending: str = ".nii.gz",
    spacing_mm: tuple[float, float, float] = (6.0, 6.0, 6.0),
) -> RawDataset:
    """A dataset of ``{"P1": {"mr", "ct"}, ...}``: MR and CT of a patient lie on different grids in one space."""
    describe(folder, channels, ending)
    size = tuple(round(extent / spacing) for extent, spacing in zip((200, 248, 248), spacing_mm))
    for number, (patient, scans) in enumerate(patients.items()):
        head = {"size": 0.95 + 0.02 * (number % 4)}
        if "mr" in scans:
            for channel in range(len(channels)):
                mr = head_mr(make_grid(size, spacing_mm), scale=3 - channel, seed=number, **head)
                write_image(mr, folder / f"images{part}" / f"{patient}_{channel:04d}{ending}")
        if "ct" in scans:
            ct = head_ct(make_grid(size, spacing_mm, "RAS", centre_mm=(3, 2, 4)), **head)
            write_image(ct, folder / f"targets{part}" / f"{patient}{ending}")
    return RawDataset.open(folder)


def keep_registration(
    case: CaseFiles,
    folder: Path,
    *,
    mode: RegisterMode = "auto",
    status: str = "registered",
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    problems_found: tuple[str, ...] = (),
) -> None:
    """Keep a registration of these files in ``folder``, as if it had been found."""
    folder.mkdir(parents=True, exist_ok=True)
    alignment = Alignment(shift_mm=1.0, rotation_deg=2.0, overlap=0.9, head_dice=0.97, bone_darker_probability=0.9)
    registration = Registration.of(sitk.TranslationTransform(3, shift_mm), status, alignment, problems_found)
    record = RegistrationRecord(FORMAT_VERSION, mode, case.files_key(), registration)
    record.save(folder / f"{case.patient}.json")


def small_configuration(mr_channels: int = 1, *, coding: GreyLevels | None = None, **preprocessing) -> Configuration:
    """The reference configuration with coarse slices and the smallest networks of both trainers."""
    reference = reference_configuration(mr_channels)
    values = {"spacing_mm": (6.0, 5.0, 5.0), "slice_size": (48, 48)}
    coding = coding or GreyLevels(mr_windows=(MrWindow("percentile", 0, 100),) * mr_channels)
    tiny = {"coding": coding, "base_channels": 2, "n_blocks": 1, "discriminator_base_channels": 2}
    return replace(
        reference,
        preprocessing=replace(reference.preprocessing, **(values | preprocessing)),
        training=replace(
            reference.training, padded_size=(48, 48), crop_size=(48, 48), epochs_constant=1, epochs_decay=0
        ),
        methods={name: to_plain(TRAINERS.load(name).Settings(**tiny)) for name in ("cyclegan", "pix2pix")},
    )


def small_plan(mr_channels: int = 1, *, name: str = "small", **changes) -> Plan:
    """A plan with one small configuration."""
    return Plan(
        format_version=FORMAT_VERSION_OF_PLANS,
        synthct_version="0",
        dataset_name="Dataset001_Heads",
        planner="default",
        channel_names=tuple(f"MR{i}" for i in range(mr_channels)),
        file_ending=".nii.gz",
        n_folds=1,
        configurations={name: small_configuration(mr_channels, **changes)},
    )


def volume_facts(**changes) -> VolumeFacts:
    """A head MR at the paper's resolution."""
    values = {
        "size_xyz": (183, 288, 288),
        "spacing_mm_xyz": (1.0, 0.87, 0.87),
        "orientation": "LPS",
        "oblique_deg": 0.0,
        "minimum": 0.0,
        "maximum": 4000.0,
        "head_volume_l": 4.0,
        "head_size_mm": (155.0, 200.0, 230.0),
        "head_mean": 800.0,
        "head_percentiles": {"0.5": 2.0, "5": 20.0, "50": 800.0, "95": 2000.0, "99.5": 3432.0},
    }
    return VolumeFacts(**(values | changes))


def case_facts(mr: VolumeFacts | None = None, ct: VolumeFacts | None = None) -> CaseFacts:
    """A patient with what is given."""
    return CaseFacts(mr=(mr,) if mr else (), ct=ct, files_key="key")


def fingerprint(cases: Mapping[str, CaseFacts]) -> Fingerprint:
    """A fingerprint made by hand."""
    return Fingerprint(1, "0", "Dataset001_Heads", dict(cases))


def paired_fingerprint(n_patients: int, **mr) -> Fingerprint:
    """Patients P00, P01, ... who all have the same MR and CT."""
    return fingerprint({f"P{i:02d}": case_facts(volume_facts(**mr), volume_facts()) for i in range(n_patients)})


def make_network_tiny(path: Path, configuration: str = "2d_lowres") -> None:
    """Edit the networks of a configuration of a ``plans.json``."""
    plan = json.loads(path.read_text(encoding="utf-8"))
    methods = plan["configurations"][configuration].setdefault("methods", {})
    for name in ("cyclegan", "cyclegan_nce", "pix2pix"):
        methods[name] = methods.get(name, {}) | {"base_channels": 2, "n_blocks": 1, "discriminator_base_channels": 2}
    methods["unet"] = methods.get("unet", {}) | {"widths": [2, 4]}
    methods["han2017"] = methods.get("han2017", {}) | {"base_channels": 2}
    methods["nie2017"] = methods.get("nie2017", {}) | {"base_channels": 2, "discriminator_base_channels": 2}
    methods["dualgan"] = methods.get("dualgan", {}) | {"base_channels": 2, "n_levels": 3}
    path.write_text(json.dumps(plan), encoding="utf-8")


def cache_of(preprocessed: Path, configuration: str = "2d_lowres") -> Path:
    """The folder of a configuration's cached slices."""
    plan = Plan.load(preprocessed / "plans.json")
    return cache_folder(preprocessed, plan.configurations[configuration].preprocessing)
