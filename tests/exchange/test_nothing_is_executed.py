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
EXECUTING = {"torch.jit.load", "torch.hub.load", "pd.read_pickle", "pandas.read_pickle", "eval", "exec"}
SAFE_WITH = {
    "torch.load": ("weights_only", "True"),
    "np.load": ("allow_pickle", "False"),
    "numpy.load": ("allow_pickle", "False"),
}


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
    reported = refused(command, *arguments)
    assert str(path) in reported
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
        reported = refused("train", 1, "cyclegan", "-c", "2d_lowres", "--continue", "-device", "cpu", "--loaders", 0)
        assert str(path) in reported
        assert not (here / "executed").exists()


# -- and it stays so -------------------------------------------------------------------------------------------------


def executing(source: str) -> list[str]:
    """What in a module could execute what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module, names = getattr(node, "module", None), {one.name for one in node.names}
            if {(module or name).split(".")[0] for name in names} & PICKLING or (
                module and names & {"load", "read_pickle"}
            ):
                found.append(ast.unparse(node))  # load by its whole name, so that it is found below
        elif isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
            if name in EXECUTING or name in SAFE_WITH and SAFE_WITH[name] not in given.items():
                found.append(ast.unparse(node))
    return found


def test_no_module_reads_what_could_execute():
    found = {path: executing(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    assert {path: parts for path, parts in found.items() if parts} == {
        PACKAGE / "exchange" / "weights.py": ["from safetensors.torch import load, save"]
    }


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import dump",
        "from torch import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "x = pandas.read_pickle(path)",
        "eval(text)",
    ],
)
def test_what_could_execute_is_found(source):
    assert executing(source)
