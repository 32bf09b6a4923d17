"""``synthct_make_example`` refuses options that make no dataset."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-3"], "--seed must not be negative, not -3"),
        (["--name", "a/b"], "not 'a/b'"),
        (["--name", ".."], "not '..'"),
        (["--name", "Köpfe"], "not 'Köpfe'"),
        (["--name", ""], "--name takes letters, digits, '_' and '-', at least one of them"),
        (["--voxel_scale", "0"], "--voxel_scale must lie in 0.5..8"),
        (["-d", "1000"], "from 1 to 999"),
    ],
)
def test_options_that_make_no_dataset_are_told(checkout, refused, arguments, words):
    assert words in refused("make_example", *arguments)
    assert not list((checkout / "synthct_raw").iterdir())
