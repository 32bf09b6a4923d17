"""A small dataset of spheres and model folders with made-up predictions, for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthct.dataset.raw import CaseFiles, RawDataset
from synthct.imaging.io import write_image
from synthct.inference.predict_test_set import predict_test_set
from synthct.inference.prediction import Prediction
from synthct.json_dataclasses import to_plain
from synthct.planning.fingerprint import CaseFacts, Fingerprint, VolumeFacts
from synthct.planning.plan import FORMAT_VERSION, Configuration, InputPlan, Plan, PreprocessingPlan, TrainingPlan
from synthct.plugins import TRAINERS

SHAPE = (40, 44, 42)  # (z, y, x)
SPACING_MM = (5.0, 5.0, 5.0)
CENTRE = (20.0, 22.0, 21.0)
RADIUS = 15.0  # voxels, so a head of 1.8 l


def distance(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Voxels from the centre of the head (z, y, x)."""
    return np.sqrt(sum((axis - middle) ** 2 for axis, middle in zip(np.indices(shape), CENTRE)))


def image(array: np.ndarray, origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> sitk.Image:
    """An image with axes towards left, posterior and superior."""
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(SPACING_MM)
    made.SetOrigin(origin_mm)
    return made


def head_ct(tissue_hu: float = 40.0) -> np.ndarray:
    """A sphere of tissue in air, int16 HU."""
    return np.where(distance() <= RADIUS, tissue_hu, -1000).astype(np.int16)


def head_with_face(noise: float = 8.0, seed: int = 0) -> np.ndarray:
    """A head with a skull, a face and a neck, so that no flip along y or z leaves it alike; float32 HU."""
    z, y, x = np.indices(SHAPE)
    inside = distance() <= RADIUS
    inside |= (np.hypot(y - CENTRE[1] - 2, x - CENTRE[2]) < 8) & (z < CENTRE[0])
    inside |= (np.hypot(z - 12, x - CENTRE[2]) < 8) & (y < CENTRE[1]) & (y > 2)
    hu = np.where(inside, 40.0, -1000.0)
    hu[(distance() > RADIUS - 1.5) & (distance() <= RADIUS - 0.5)] = 900
    return (hu + np.random.default_rng(seed).normal(0, noise, SHAPE)).astype(np.float32)


def head_mr() -> np.ndarray:
    """The same sphere in an MR, int16."""
    return np.where(distance() <= RADIUS, 800, 5).astype(np.int16)


def make_raw(folder: Path, patients: list[str], without_ct: tuple[str, ...] = ()) -> RawDataset:
    """A raw dataset of identical spheres."""
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text('{"channel_names": {"0": "T1"}, "file_ending": ".nii.gz"}')
    for patient in patients:
        write_image(image(head_mr()), folder / "imagesTr" / f"{patient}_0000.nii.gz")
        if patient not in without_ct:
            write_image(image(head_ct()), folder / "targetsTr" / f"{patient}.nii.gz")
    return RawDataset.open(folder)


def make_model(
    folder: Path,
    errors_hu: dict[str, float],
    *,
    split: dict[str, list[str]],
    fold: int | str = 0,
    ct_means: dict[str, tuple[float, ...]] | None = None,
) -> Path:
    """A model folder with predictions that are off by ``errors_hu`` in every voxel of the head.

    ``ct_means`` are (mean HU, litres, median HU) of the CTs of the training patients, for the fingerprint; the median
    is the mean where it is left out.
    """
    preprocessing = PreprocessingPlan("sagittal", (5, 5, 5), 1.0, (48, 48), "linear")
    training = TrainingPlan((52, 52), (48, 48), 0, 1, 1, 1, None, "float32", 0)
    tiny = {"base_channels": 4, "n_blocks": 1, "discriminator_base_channels": 4}
    methods = {name: to_plain(TRAINERS.load(name).Settings(**tiny)) for name in ("cyclegan", "pix2pix")}
    configuration = Configuration(preprocessing, InputPlan("sagittal", 0, 1), training, methods=methods)
    name = folder.name.split("__")[-1]
    configurations = {name: configuration}
    Plan(FORMAT_VERSION, "0.1.0", "Dataset001_Spheres", "test", ("T1",), ".nii.gz", 2, configurations).save(
        folder / "plans.json"
    )
    Fingerprint(1, "0.1.0", "Dataset001_Spheres", _cases(ct_means or {})).save(folder / "dataset_fingerprint.json")
    fold_folder = folder / f"fold_{fold}"
    (fold_folder / "validation").mkdir(parents=True)
    (fold_folder / "split.json").write_text(json.dumps(split))
    for patient, error in errors_hu.items():
        write_image(image(head_ct(40.0 + error)), fold_folder / "validation" / f"{patient}.nii.gz")
    return folder


def make_tested(model: Path, errors_hu: dict[str, float], *, folds: tuple[int | str, ...]) -> None:
    """Predictions of test patients in a model folder, off by ``errors_hu``, as ``predict_test_set`` leaves them."""

    class Predicted:
        def predict_with_qa(self, mrs, **_):
            return Prediction(image(head_ct(40.0 + errors.pop(0))), None, None, None)

        model_hash = "0" * 12

    errors = list(errors_hu.values())
    files = model.parent / f"mrs_of_{model.name}"
    cases = {}
    for patient in errors_hu:
        write_image(image(head_mr()), files / f"{patient}_0000.nii.gz")
        cases[patient] = CaseFiles(patient, (files / f"{patient}_0000.nii.gz",), None, None)
    raw = RawDataset(files, ("T1",), ".nii.gz", {}, cases, ())
    for fold in folds:
        checkpoint = model / f"fold_{fold}" / "checkpoint_final.pth"
        if not checkpoint.exists():
            checkpoint.write_text(f"weights of fold {fold}")
    predict_test_set(raw, Predicted(), model, [str(fold) for fold in folds])


def _cases(ct_means: dict[str, tuple[float, ...]]) -> dict[str, CaseFacts]:
    def facts(mean: float, litres: float, median: float | None = None) -> VolumeFacts:
        middle = mean if median is None else median
        percentiles = {"0.5": middle, "5": middle, "50": middle, "95": middle, "99.5": middle}
        return VolumeFacts(
            SHAPE[::-1], SPACING_MM, "LPS", 0.0, -1000.0, 40.0, litres, (1.0, 1.0, 1.0), mean, percentiles
        )

    return {
        patient: CaseFacts(mr=(facts(800.0, 2.0),), ct=facts(*ct) if ct[1] else None, files_key="")
        for patient, ct in ct_means.items()
    }
