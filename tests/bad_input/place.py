"""A small healthy place to work in, made by the commands themselves, of which each test spoils a copy of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from synthetic_datasets import PAIRED, cache_of, make_network_tiny, write_dataset

from synthct.commands import plan_and_preprocess, train

NAME = "Dataset001_Heads"
PATIENTS = ("P1", "P2", "P3")


@dataclass(frozen=True)
class Place:
    """A folder with a dataset of three pairs, preprocessed and trained, MRs to predict and two folders to compare."""

    root: Path

    @property
    def raw(self) -> Path:
        """The raw dataset."""
        return self.root / "synthct_raw" / NAME

    @property
    def preprocessed(self) -> Path:
        """The same dataset, planned and preprocessed for ``2d_lowres``."""
        return self.root / "synthct_preprocessed" / NAME

    @property
    def slices(self) -> Path:
        """The folder of its cached slices."""
        return cache_of(self.preprocessed)

    @property
    def model(self) -> Path:
        """A cyclegan, trained for one step on fold 0."""
        return self.root / "synthct_results" / NAME / "cyclegan__plans__2d_lowres"

    @property
    def fold(self) -> Path:
        """The fold that is trained."""
        return self.model / "fold_0"

    def mr(self, patient: str = "P1") -> Path:
        """A patient's MR in the raw dataset."""
        return self.raw / "imagesTr" / f"{patient}_0000.nii.gz"

    def ct(self, patient: str = "P1") -> Path:
        """A patient's CT in the raw dataset."""
        return self.raw / "targetsTr" / f"{patient}.nii.gz"

    def contents(self) -> dict[str, str]:
        """Every file by a hash of what it holds, and every folder, but for locks."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and not path.name.endswith(".lock"):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.is_dir():
                found[name] = "a folder"
        return found


def make_place(root: Path) -> Place:
    """Write, plan, preprocess and train; the current directory must be ``root``."""
    for name in ("synthct_raw", "synthct_preprocessed", "synthct_results"):
        (root / name).mkdir()
    place = Place(root)
    write_dataset(place.raw, dict.fromkeys(PATIENTS, PAIRED))
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1"]) == 0
    make_network_tiny(place.preprocessed / "plans.json")
    length = ["--epochs", "1", "--iterations", "1"]
    assert train.main(["1", "cyclegan", "-c", "2d_lowres", *length, "-device", "cpu", "--loaders", "0"]) == 0
    (root / "mrs").mkdir()
    (root / "mrs" / "A_0000.nii.gz").write_bytes(place.mr("P1").read_bytes())
    (root / "mrs" / "B_0000.nii.gz").write_bytes(place.mr("P2").read_bytes())
    for folder in ("cts", "reference_cts"):
        (root / folder).mkdir()
        for patient in ("A", "B"):
            (root / folder / f"{patient}.nii.gz").write_bytes(place.ct().read_bytes())
    return place
