"""Waiting threads sleep soon, unless the user says otherwise; and ``--threads`` computes with so many."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest
import SimpleITK as sitk
import torch

from synthct.commands import console, predict, threads, train

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
SHOW = "import os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


@pytest.fixture(autouse=True)
def environment(monkeypatch) -> dict[str, str]:
    """That of the command, in place of this process's."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    monkeypatch.setattr(threads.os, "environ", environment)
    return environment


@pytest.mark.parametrize(
    ("before", "spins"),
    [
        ({}, threads.SPIN_COUNT),
        ({"GOMP_SPINCOUNT": "infinity"}, "infinity"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_waiting_threads_sleep_after_a_short_while_unless_the_user_says_otherwise(environment, before, spins):
    environment.update(before)
    threads.bound_spinning()
    assert environment.get("GOMP_SPINCOUNT") == spins


@pytest.mark.parametrize(
    "module", ["train", "predict", "evaluate", "plan_and_preprocess", "import_data", "make_example", "umbrella"]
)
def test_a_command_does_not_load_torch_before_spinning_is_bounded(module, environment):
    program = f"import synthct.commands.{module}, synthct.commands.console as c; {SHOW}; c.bound_spinning(); {SHOW}"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["None False", f"{threads.SPIN_COUNT} False"]


def test_every_command_bounds_spinning_before_it_acts(environment):
    seen = []
    parser = console.make_parser("synthct_try", "Try.", "synthct_try")
    console.run(parser, lambda _: seen.append(environment.get("GOMP_SPINCOUNT")), [])
    assert seen == [threads.SPIN_COUNT]


def test_as_many_threads_compute_as_are_asked_for(environment):
    before = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    try:
        for wanted in (1, 2):
            threads.use_threads(argparse.Namespace(threads=wanted))
            assert torch.get_num_threads() == sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == wanted
            assert environment["OMP_NUM_THREADS"] == str(wanted)
        threads.use_threads(argparse.Namespace(threads=None))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before[0])
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before[1])


def test_threads_of_a_clusters_workers_are_not_set_here(environment, here, capsys):
    before = torch.get_num_threads()
    cluster = ["--scheduler", "tcp://node1:8786", "--threads", "3"]
    assert predict.main(["-i", "mrs", "-o", "cts", *cluster]) == 2
    said = capsys.readouterr().err
    assert "--threads 3" in said and "--scheduler" in said and "OMP_NUM_THREADS=3" in said
    assert torch.get_num_threads() == before and "OMP_NUM_THREADS" not in environment
    assert not list(here.iterdir())


@pytest.mark.parametrize("command", [[train, "1", "cyclegan"], [predict, "-i", "mrs", "-o", "cts"]])
def test_threads_are_one_or_more(command, here, capsys):
    module, *arguments = command
    with pytest.raises(SystemExit) as exit_:
        module.main([*arguments, "--threads", "0"])
    assert exit_.value.code == 2
    assert "--threads: '0'" in capsys.readouterr().err
