"""What holds for every command: an example in the help, exit status 2 and one sentence without a traceback."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import synthct

COMMANDS = {
    "plan_and_preprocess": ["-d", "1"],
    "train": ["1", "cyclegan"],
    "predict": ["-i", "mrs", "-o", "cts"],
    "evaluate": [],
    "make_example": [],
    "import_data": ["-i", "scans", "-d", "3", "--name", "Brain"],
    "export_model": [],
    "install_model": ["model.zip"],
}
PACKAGE = Path(synthct.__file__).parent


def main_of(command: str):
    return importlib.import_module(f"synthct.commands.{command}").main


def test_every_command_is_tested():
    files = {path.stem for path in (PACKAGE / "commands").glob("*.py") if "\ndef main(" in path.read_text("utf-8")}
    assert files - {"umbrella"} == set(COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_the_help_has_an_example(command, capsys, here):
    with pytest.raises(SystemExit) as exit_:
        main_of(command)(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "example:" in text
    assert text.count("synthct_" + command.removesuffix("_data")) >= 2


@pytest.mark.parametrize("command", list(COMMANDS))
def test_the_version_is_reported(command, capsys):
    with pytest.raises(SystemExit):
        main_of(command)(["--version"])
    assert synthct.__version__ in capsys.readouterr().out


@pytest.mark.parametrize("command", list(COMMANDS))
def test_an_unknown_option_ends_with_status_2(command, capsys, here):
    with pytest.raises(SystemExit) as exit_:
        main_of(command)([*COMMANDS[command], "--no_such_option"])
    assert exit_.value.code == 2
    assert "--no_such_option" in capsys.readouterr().err


@pytest.mark.parametrize("command", list(COMMANDS))
def test_an_unset_folder_is_reported_with_the_variable_and_the_remedy(command, refused, here):
    reported = refused(command, *COMMANDS[command])
    assert "export synthct_" in reported
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", ["plan_and_preprocess", "train", "predict", "evaluate", "export_model"])
def test_empty_folders_are_reported_with_what_to_do(command, refused, checkout):
    reported = refused(command, *COMMANDS[command])
    remedy = {"plan_and_preprocess": "synthct_make_example", "train": "synthct_plan_and_preprocess"}
    assert remedy.get(command, "synthct_train 1 cyclegan") in reported


def test_debug_shows_where_an_error_comes_from(here):
    with pytest.raises(synthct.errors.FolderError):
        main_of("plan_and_preprocess")(["-d", "1", "--debug"])


@pytest.mark.parametrize("command", ["plan_and_preprocess", "evaluate", "make_example", "import_data"])
@pytest.mark.parametrize("workers", ["0", "-1", "two", "²"])
def test_workers_are_one_or_more(command, workers, capsys, here):
    with pytest.raises(SystemExit) as exit_:
        main_of(command)([*COMMANDS[command], "-np", workers])
    assert exit_.value.code == 2


def names_used(path: Path) -> set[str]:
    """Dotted names and calls in a module, such as ``os.environ`` and ``print``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    attributes = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return attributes | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_the_environment_is_read_for_folders_torchrun_memory_pages_and_threads_only():
    readers = {p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py")
               if names_used(p) & {"os.environ", "os.getenv", "os.environb"}}  # fmt: skip
    assert readers == {"paths.py", "training/distributed.py", "commands/console.py", "commands/threads.py"}


def test_the_roots_are_asked_for_by_commands_only():
    users = {p.relative_to(PACKAGE).parts[0] for p in PACKAGE.rglob("*.py") if "root_folder" in names_used(p)}
    assert users == {"commands"}


def test_only_commands_print():
    printers = {p.relative_to(PACKAGE).parts[0] for p in PACKAGE.rglob("*.py") if "print" in names_used(p)}
    assert printers == {"commands"}
