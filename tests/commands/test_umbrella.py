"""``synthct`` lists the commands and runs them."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

import synthct
from synthct.commands import umbrella
from synthct.commands.completion import bash_completion

ROOT = Path(synthct.__file__).parents[1]


def test_it_lists_every_command_with_a_line(monkeypatch, capsys):
    setup = ROOT / "setup.py"
    if not setup.is_file():
        pytest.skip("not a checkout")
    declared = []
    monkeypatch.setattr("setuptools.setup", lambda **options: declared.append(options["entry_points"]))
    runpy.run_path(str(setup))
    scripts = dict(line.split(" = ") for line in declared[0]["console_scripts"])
    modules = {f"synthct_{name}": f"synthct.commands.{module}:main" for name, (module, _) in umbrella.COMMANDS.items()}
    assert scripts == modules | {"synthct": "synthct.commands.umbrella:main"}
    for asked in ([], ["--help"], ["-h"], ["help"]):
        assert umbrella.main(asked) == 0
        lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
        for name, (_, what) in umbrella.COMMANDS.items():
            assert any(line.startswith(f"{name} ") and line.endswith(what) for line in lines)


def test_it_says_its_version(capsys):
    assert umbrella.main(["--version"]) == 0
    assert capsys.readouterr().out == f"synthct {synthct.__version__}\n"


@pytest.mark.parametrize("name", ["train", "synthct_train"])
def test_a_command_is_run_with_its_arguments(name, here, capsys):
    assert umbrella.main([name, "1", "cyclegan"]) == 2
    assert capsys.readouterr().err.startswith("synthct_train: The environment variable synthct_")


@pytest.mark.parametrize(("typed", "remedy"), [("trian", "did you mean train?"), ("x", "synthct --help lists")])
def test_an_unknown_command_is_refused_with_a_remedy(typed, remedy, capsys):
    assert umbrella.main([typed]) == 2
    reported = capsys.readouterr().err
    assert f"synthct: {typed} is not a command of synthct; " in reported and remedy in reported


def test_other_shells_are_refused(capsys):
    assert umbrella.main(["completion", "zsh"]) == 2
    assert "synthct completion bash" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("synthct pr", ["predict"]),
        ("synthct completion b", ["bash"]),
        ("synthct train --it", ["--iterations"]),
        ("synthct_train --it", ["--iterations"]),
        ("synthct_train mrs", []),
    ],
)
def test_bash_completes_commands_and_options(words, completed):
    program = f"""{bash_completion(umbrella.COMMANDS)}
    synthct_train() {{ echo "usage: x [--iterations N] [-c NAME]"; }}
    COMP_WORDS=({words}); COMP_CWORD=$(({len(words.split())} - 1)); _synthct; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == completed
