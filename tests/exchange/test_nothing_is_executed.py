"""No file that synthct reads is executed: neither checkpoints that were tampered with, nor anything else pickled."""

from __future__ import annotations

import ast
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from model_files import MODEL, Payload, head, write_trained_model
from synthetic_datasets import PAIRED, write_dataset, write_image

import synthct
from synthct.commands import plan_and_preprocess

PACKAGE = Path(synthct.__file__).parent
PICKLING = {"pickle", "_pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}


def bare_pickle(path, content):
    path.write_bytes(pickle.dumps(Payload()))


def pickled_by_torch(path, content):
    torch.save(content | {"networks": Payload()}, path)


def old_format_of_torch(path, content):
    torch.save(content | {"networks": Payload()}, path, _use_new_zipfile_serialization=False)


def scripted_by_torch(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload()))
        archive.writestr("archive/constants.pkl", pickle.dumps(Payload()))
        archive.writestr("archive/version", "3")


# torch warns of what it then refuses.
pytestmark = pytest.mark.filterwarnings("ignore:.*(pickle protocol|TorchScript archive)")
CHECKPOINTS = [bare_pickle, pickled_by_torch, old_format_of_torch, scripted_by_torch]


def test_the_payload_does_execute_where_nobody_prevents_it(here):
    with pickle.loads(pickle.dumps(Payload())):  # else the tests below would prove nothing
        assert (here / "executed").is_file()


@pytest.fixture
def model(here):
    return write_trained_model(here / "synthct_results")


@pytest.mark.parametrize("tamper", CHECKPOINTS)
@pytest.mark.parametrize("command", ["predict", "export_model"])
def test_a_checkpoint_that_would_execute_is_refused(tamper, command, model, here, refused):
    path = model / "fold_0" / "checkpoint_final.pth"
    tamper(path, torch.load(path, weights_only=True))
    write_image(head(), here / "mrs" / "X_0000.nii.gz")
    arguments = ("-i", "mrs", "-o", "cts", "-device", "cpu") if command == "predict" else ()
    told = refused(command, *arguments)
    assert str(path) in told and "is damaged or is not a checkpoint of synthct" in told
    assert not (here / "executed").exists() and not (here / "cts").exists() and not list(here.glob("*.zip"))


@pytest.fixture
def preprocessed(here):
    for name in ("synthct_raw", "synthct_preprocessed"):
        (here / name).mkdir()
    write_dataset(here / "synthct_raw" / MODEL.parent, {"P1": PAIRED, "P2": PAIRED})
    assert plan_and_preprocess.main(["-d", "1", "-c", "2d_lowres", "-np", "1"]) == 0


def test_no_training_goes_on_from_a_checkpoint_that_would_execute(preprocessed, here, refused):
    path = here / "synthct_results" / MODEL.parent / "cyclegan__plans__2d_lowres" / "fold_0" / "checkpoint_latest.pth"
    path.parent.mkdir(parents=True)
    for tamper in CHECKPOINTS:
        tamper(path, {"format_version": 1})
        told = refused("train", 1, "cyclegan", "-c", "2d_lowres", "--continue", "-device", "cpu", "--loaders", 0)
        assert str(path) in told and "is damaged or is not a checkpoint of synthct" in told
        assert not (here / "executed").exists()


# -- and it stays so -------------------------------------------------------------------------------------------------


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    """Calls of a dotted name, such as ``torch.load``."""
    last = name.rpartition(".")[2]
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    near = [call for call in found if last in (getattr(call.func, "attr", None), getattr(call.func, "id", None))]
    return [call for call in near if ast.unparse(call.func) == name]


def keyword(call: ast.Call, name: str) -> object:
    """The constant that a call gives for a keyword; None where it gives none."""
    return next(
        (one.value.value for one in call.keywords if one.arg == name and isinstance(one.value, ast.Constant)), None
    )


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_reads_nothing_that_could_execute(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert not imported & PICKLING
    of_torch = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("torch", "torch.serialization", "numpy", "pandas")
        for alias in node.names
    }
    assert not of_torch & {"load", "read_pickle"}  # by its whole name, so that it is found below
    for call in calls(tree, "torch.load"):
        assert keyword(call, "weights_only") is True, ast.unparse(call)
    for name in ("np.load", "numpy.load"):
        for call in calls(tree, name):
            assert keyword(call, "allow_pickle") is False, ast.unparse(call)
    for name in ("torch.jit.load", "torch.hub.load", "pd.read_pickle", "pandas.read_pickle", "eval", "exec"):
        assert not calls(tree, name), name


def test_the_walk_finds_what_it_looks_for():
    sources = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    loading = {path.name for path, tree in sources.items() if calls(tree, "torch.load")}
    assert loading == {"checkpoint.py"}
    assert any(calls(tree, "np.load") for tree in sources.values())
