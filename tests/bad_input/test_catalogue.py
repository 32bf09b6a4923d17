"""Every bad input of the catalogue: exit status 2, one sentence with file and remedy, nothing written or changed."""

from __future__ import annotations

import importlib
import shlex

import pytest
from bad import Bad
from catalogue import CATALOGUE


@pytest.mark.parametrize("bad", CATALOGUE, ids=[bad.name for bad in CATALOGUE])
def test_bad_input_is_reported_and_nothing_is_written(bad: Bad, place, capsys):
    bad.spoil(place)
    before = place.contents()
    capsys.readouterr()
    module, *arguments = shlex.split(bad.command)
    status = importlib.import_module(f"synthct.commands.{module}").main(arguments)
    command, reported = "synthct_" + module.removesuffix("_data"), capsys.readouterr().err
    sentence = reported.partition(f"{command}: ")[2]
    assert status == 2, reported
    assert bad.names in sentence and bad.remedy in sentence
    assert "Traceback" not in reported and sentence.endswith(".\n")
    assert place.contents() == before
