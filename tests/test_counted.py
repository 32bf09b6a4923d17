"""Numbers and lists of things in sentences."""

import pytest

from synthct.counted import counted, first_of


@pytest.mark.parametrize(("number", "words"), [(0, "0 patients"), (1, "1 patient"), (2, "2 patients")])
def test_a_noun_is_in_the_plural_but_of_one(number, words):
    assert counted(number, "patient") == words


def test_of_many_names_the_first_are_listed_and_the_others_counted():
    assert first_of((f"P{i}" for i in range(9)), 2) == "P0, P1 and 7 more"
    assert first_of(["P0", "P1"], 2) == "P0, P1" and first_of([]) == ""
