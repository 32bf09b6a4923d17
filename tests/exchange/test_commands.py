"""What the two commands say, refuse and leave alone."""

from __future__ import annotations

import json
import shutil

import pytest
from model_files import DATASET, MODEL, write_trained_model

from synthct.commands import evaluate
from synthct.exchange import export_model
from synthct.files import sha256_of


@pytest.fixture
def model(here):
    return write_trained_model(here / "synthct_results")


def test_the_newest_model_is_exported_and_the_closing_words_tell_what_goes_with_it(model, here, run):
    reported = " ".join(run("export_model").split())
    assert (
        str(model) in reported and "Case ids go with it as they are" in reported and "80.0 ± 14.1 (n = 2)" in reported
    )
    (file,) = here.glob("*.zip")
    assert f"synthct_install_model {file.name}" in reported and sha256_of(file) in reported


def test_models_are_chosen_as_for_predictions(model, refused, here):
    for choice, named in (
        (("-tr", "pix2pix"), "pix2pix"),
        (("-d", "7"), "007"),
        (("-f", "9"), "fold_9"),
        (("-m", here), str(here)),
    ):
        assert named in refused("export_model", *choice)
    assert not list(here.glob("*.zip"))


def test_a_file_that_is_there_is_kept_unless_reported_otherwise(model, here, refused, run):
    (here / "model.zip").write_text("mine")
    assert "--overwrite" in refused("export_model", "-o", "model.zip")
    assert (here / "model.zip").read_text() == "mine"
    run("export_model", "-o", "model.zip", "--overwrite")
    assert (here / "model.zip").read_bytes().startswith(b"PK")
    assert str(here) in refused("export_model", "-o", here)


def test_nan_weights_are_not_exported(model, here, refused):
    from tiny_models import tiny_networks, write_checkpoint

    from synthct.planning.plan import Plan

    plan = Plan.load(model / "plans.json")
    networks = tiny_networks(plan)
    networks["syn_ct"]["layers.1.weight"][0, 0, 0, 0] = float("nan")
    training = json.loads((model / "plans.json").read_text())["configurations"]["small"]["training"]
    write_checkpoint(model / "fold_0", networks, training=training)
    assert "syn_ct.layers.1.weight" in refused("export_model")
    assert not list(here.glob("*.zip"))


@pytest.mark.parametrize("option", ["--verify", "--overwrite"])
def test_patients_error_and_limits_are_shown_before_or_at_the_installation(option, shared_file, here, run):
    reported = " ".join(run("install_model", shared_file, option).split())
    for words in ("4 patients (3 with", "MR0", "80.0 ± 14.1 (n = 2)", "not for clinical use", "name: Heads of X"):
        assert words in reported, words
    assert any((here / "synthct_results").iterdir()) == (option != "--verify")


def test_a_model_that_is_there_is_kept_unless_reported_otherwise(model, shared_file, here, run, refused):
    before = {path: path.stat().st_mtime_ns for path in model.rglob("*")}
    assert "--overwrite" in refused("install_model", shared_file)
    assert {path: path.stat().st_mtime_ns for path in model.rglob("*")} == before
    run("install_model", shared_file, "--overwrite")
    assert (model / "model_card.md").is_file() and not (model / "fold_0" / "validation").exists()
    assert [path.name for path in model.parent.iterdir() if path.name.startswith(".")] == []


def test_overwrite_replaces_nothing_but_a_model(shared_file, here, refused):
    (here / "thesis").mkdir()
    (here / "thesis" / "chapter1.tex").write_text("mine")
    assert "thesis" in refused("install_model", shared_file, "-o", "thesis", "--overwrite")
    assert (here / "thesis" / "chapter1.tex").read_text() == "mine"
    assert "thesis/chapter1.tex" in refused("install_model", shared_file, "-o", "thesis/chapter1.tex", "--overwrite")


def test_an_interrupted_installation_leaves_nothing(shared_file, here, monkeypatch):
    from synthct.commands import install_model
    from synthct.exchange import install

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "save_checkpoint", interrupted)
    assert install_model.main([str(shared_file)]) == 130
    assert list((here / "synthct_results").rglob("*")) == []


def test_what_a_killed_installation_left_is_no_model(model, here, run):
    leftover = model.with_name(f".0123abcd.partial.{model.name}")
    shutil.copytree(model, leftover)
    (leftover / "fold_0" / "checkpoint_final.pth").touch()  # the newest
    assert f"Exporting {model}" in " ".join(run("export_model").split())


def test_an_interrupted_export_leaves_nothing(model, here, monkeypatch):
    from synthct.commands import export_model
    from synthct.exchange import archive

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(archive.zipfile.ZipFile, "writestr", interrupted)
    assert export_model.main([]) == 130
    assert [path.name for path in here.iterdir()] == ["synthct_results"]


def test_evaluation_of_installed_models_alone_says_what_to_do(shared_file, here, run, capsys):
    run("install_model", shared_file)
    (here / "synthct_raw").mkdir()
    assert evaluate.main(["-np", "1"]) == 2
    assert "synthct_evaluate -p CTS -r REFERENCE_CTS" in capsys.readouterr().err


def test_no_training_goes_on_from_an_installed_model(shared_file, here, run):
    from synthct.errors import TrainingError
    from synthct.model_folder import ModelFolder
    from synthct.training.resume import find_checkpoint

    run("install_model", shared_file)
    fold = ModelFolder(here / "synthct_results" / MODEL).fold(0)
    with pytest.raises(TrainingError, match=str(fold.path)):
        find_checkpoint(fold)


@pytest.mark.parametrize(("constant", "reported"), [(163.0, False), (95.0, True)])
def test_the_card_says_where_a_model_is_hardly_better_than_one_number(constant, reported, model, here):
    summary = [{"model": "median_ct", "set": "cross_validation", "n": 2, "mae_hu_mean": constant}]
    (here / "synthct_results" / DATASET / "evaluation" / "summary.json").write_text(json.dumps(summary))
    assert ("hardly better" in export_model(model, here / "model.zip").card) == reported


def test_the_card_is_readable_and_complete(shared_file, here, run):
    run("install_model", shared_file, "-o", "model")
    card = (here / "model" / "model_card.md").read_text()
    assert "$" not in card and "?" not in card
    for words in (
        "# Model card: Dataset001_Heads, cyclegan, small",
        "not for clinical use",
        "Air cavities read -600 HU",
        "| 0 | 2 | 1 | 90.0 (n = 1) |",
        "| 1 | 2 | 1 | 70.0 (n = 1) |",
        "| MAE, HU | 80.0 ± 14.1 (n = 2) |",
        "| PSNR, dB | 28.0 (n = 1) |",  # the other patient's is infinite
        "median HU: 163.0 HU",
        "4 patients: 4 with MR, 3 with CT, 3 with both",
        "| voxel SI, mm | 0.8 / 0.87 / 0.87 | 0.87 |",  # P4's is the second axis of the file
        "| voxel LR, mm | 1 / 1 / 2 | 1 |",
        "CT window: -600 to 1400 HU",
    ):
        assert words in card, words


def test_the_card_quotes_the_dataset_s_author_without_markup_or_terminal_escapes(model, here):
    dataset = json.loads((model / "dataset.json").read_text()) | {"licence": "[CC0](x)\x1b[2J\n<b>$name|"}
    (model / "dataset.json").write_text(json.dumps(dataset))
    card = export_model(model, here / "model.zip").card
    assert "licence: \\[CC0\\](x) \\[2J \\<b\\>$name\\|." in card
