"""A folder that the user may not write into is reported, and nothing is written beside it; as root, as another user."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad import COMPARING, IMPORTING, PLANNING, PREDICTING, TRAINING
from place import Place

NOBODY = 65534


@contextlib.contextmanager
def not_as_root() -> Iterator[None]:
    """Inside, permissions bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def own_place(healthy, monkeypatch) -> Iterator[Place]:
    """A copy of the healthy place that belongs to the user whom permissions bind; the current directory."""
    root = Path(tempfile.mkdtemp(prefix="synthct_read_only_"))
    shutil.copytree(healthy, root, dirs_exist_ok=True)
    (root / "to_import" / "mr").mkdir(parents=True)
    (root / "to_import" / "ct").mkdir()
    place = Place(root)
    shutil.copyfile(place.mr(), root / "to_import" / "mr" / "P1.nii.gz")
    shutil.copyfile(place.ct(), root / "to_import" / "ct" / "P1.nii.gz")
    (root / "full").mkdir()
    if os.geteuid() == 0:
        for path in (root, *root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    monkeypatch.chdir(root)
    yield place
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    monkeypatch.undo()
    shutil.rmtree(root)


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("synthct_preprocessed", PLANNING + " --clean"),
        ("synthct_preprocessed/Dataset001_Heads", PLANNING + " --clean"),
        ("synthct_results/Dataset001_Heads/cyclegan__plans__2d_lowres", TRAINING.replace("cyclegan", "cyclegan 1")),
        ("synthct_results/Dataset001_Heads/cyclegan__plans__2d_lowres/fold_0", TRAINING),
        ("full", PREDICTING.replace("new_cts", "full")),
        ("full", PREDICTING.replace("new_cts", "full/new_cts")),
        ("cts", COMPARING),
        ("synthct_raw", IMPORTING),
        ("synthct_raw", "make_example -d 2 --train 1 --test 0 --voxel_scale 8 -np 1"),
        ("full", "export_model -o full/model.zip"),
    ],
)
def test_a_read_only_folder_is_reported(own_place, capsys, folder, command):
    for path in ((own_place.root / folder), *(own_place.root / folder).rglob("*")):
        if path.is_dir():
            path.chmod(0o555)
    before = own_place.contents()
    module, *arguments = shlex.split(command)
    main = importlib.import_module(f"synthct.commands.{module}").main
    for needed in ("evaluation.evaluate", "exchange.export", "imaging.dicom", "inference", "training.loop"):
        importlib.import_module(f"synthct.{needed}")  # which the other user may not be allowed to read
    with not_as_root():
        status = main(arguments)
    reported = capsys.readouterr().err
    assert status == 2, reported
    assert folder in reported and "Permission denied" in reported
    assert "Traceback" not in reported
    assert own_place.contents() == before
