"""What nnU-Net's users type by habit is accepted, or answered with our way in one sentence and exit status 2."""

from __future__ import annotations

import importlib

import pytest

from synthct.commands.foreign_flags import FOREIGN_FLAGS, Answered, accept_foreign_flags

ARGUMENTS = {"plan_and_preprocess": ["-d", "1"], "train": ["1", "cyclegan"], "predict": [], "evaluate": []}
ANSWERED = [
    (command, flag, answer)
    for command, flags in FOREIGN_FLAGS.items()
    for flag, answer in flags.items()
    if isinstance(answer, Answered)
]


def run(command: str, *arguments: str) -> int:
    return importlib.import_module(f"synthct.commands.{command.removeprefix('synthct_')}").main(list(arguments))


@pytest.fixture
def parsed(monkeypatch):
    """The arguments that a command acts upon."""

    def parse(command: str, *arguments: str):
        module = importlib.import_module(f"synthct.commands.{command}")
        seen = []
        monkeypatch.setattr(module, "_run", seen.append)
        assert module.main([*ARGUMENTS[command], *arguments]) == 0
        return seen[0]

    return parse


@pytest.mark.parametrize(("command", "flag", "answer"), ANSWERED)
@pytest.mark.parametrize("value", [[], ["3"]])
def test_a_flag_without_a_counterpart_is_answered_with_our_way(command, flag, answer, value, here, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(command, *ARGUMENTS[command.removeprefix("synthct_")], flag, *value)
    reported = capsys.readouterr().err
    assert exit_.value.code == 2
    assert reported.startswith(f"{command}: {flag} is a flag of nnU-Net: ") and reported.endswith(".\n")
    assert reported.count("\n") == 1 and "{" not in reported


def test_the_number_of_gpus_is_answered_with_the_line_for_torchrun(here, capsys):
    with pytest.raises(SystemExit):
        run("train", "1", "cyclegan", "0", "-num_gpus", "4")
    assert "torchrun --nproc_per_node=4 -m synthct.commands.train" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-npp", "-nps", "-npfp"])
def test_numbers_of_processes_are_worker_processes(flag, parsed):
    assert parsed("plan_and_preprocess", flag, "3").workers == 3


def test_the_integrity_check_that_always_runs_can_be_asked_for(parsed):
    given = parsed("plan_and_preprocess", "--verify_dataset_integrity", "-pl", "wolterink2017")
    assert given.planner == "wolterink2017" and not given.verify_only


@pytest.mark.parametrize("flag", ["--c", "--continue"])
def test_a_training_goes_on(flag, parsed):
    assert parsed("train", flag).resume


def test_a_prediction_goes_on(monkeypatch, here):
    from synthct.commands import predict

    seen = []
    monkeypatch.setattr(predict, "_run", seen.append)
    for flag in ("--c", "--continue_prediction"):
        predict.main(["-i", "mrs", "-o", "cts", flag])
    assert [arguments.continue_prediction for arguments in seen] == [True, True]


@pytest.mark.parametrize("command", list(ARGUMENTS))
def test_the_help_shows_our_own_options_only(command, capsys):
    with pytest.raises(SystemExit):
        run(command, "--help")
    words = capsys.readouterr().out.replace(",", " ").replace("[", " ").replace("]", " ").split()
    foreign = FOREIGN_FLAGS[f"synthct_{command}"]
    assert not {"-npp", "-nps", "-pl", "-num_gpus", "--npz", "-step_size"} & foreign.keys() & set(words)


def test_a_command_without_such_habits_is_left_as_it_is():
    import argparse

    parser = argparse.ArgumentParser(prog="synthct_export_model")
    before = dict(parser._option_string_actions)
    accept_foreign_flags(parser)
    assert parser._option_string_actions == before
