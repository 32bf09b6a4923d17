"""Whether DICOM files of one patient can be of one person: PatientBirthDate, PatientSex and PatientName compared.

Values are kept as keyed digests alone: a search for series makes a key of its own, so what is kept can be compared
within that search and says nothing about a person.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

ATTRIBUTES = ("PatientBirthDate", "PatientSex", "PatientName")
BIRTH_DATE, SEX, NAME = "PatientBirthDate (0010,0030)", "PatientSex (0010,0040)", "PatientName (0010,0010)"
_NO_YEARS = ("0000", "0001", "1111", "1900", "9999")  # that programs write where they know none
_NO_NAMES = {"anonymous", "anonymized", "anonymised", "anonym", "anon", "unknown", "patient", "name", "noname", "none",
             "no", "removed", "deidentified", "test", "null", "empty", "subject"}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Digests of what files say about a person; empty where they say nothing.

    Attributes:
        birth_year: of PatientBirthDate.
        birth_date: of all of it; empty for the first of January, which stands for a year.
        sex: of PatientSex, where it is M or F.
        name: of each word of PatientName.
    """

    birth_year: str = ""
    birth_date: str = ""
    sex: str = ""
    name: frozenset[str] = frozenset()

    @staticmethod
    def of(text: Callable[[str], str], key: bytes) -> Person:
        """From the attributes' texts; ``key`` is the search's."""
        date = re.sub(r"\D", "", text("PatientBirthDate"))[:8]
        year = date[:4] if len(date) == 8 and date[:4] not in _NO_YEARS else ""
        sex = text("PatientSex").upper()
        words = set(re.findall(r"\w+", text("PatientName").casefold().replace("_", " "))) - _NO_NAMES
        return Person(
            _digest(year, key),
            _digest(date if year and date[4:] != "0101" else "", key),
            _digest(sex if sex in ("M", "F") else "", key),
            frozenset(_digest(word, key) for word in words),
        )

    def contradictions(self, other: Person) -> list[str]:
        """The attributes that two files of one person would not have like this.

        A name decides only where no birth date does, since names change and are spelled in several ways.
        """
        years, dates = (self.birth_year, other.birth_year), (self.birth_date, other.birth_date)
        found = []
        if (all(years) and years[0] != years[1]) or (all(dates) and dates[0] != dates[1]):
            found.append(BIRTH_DATE)
        if self.sex and other.sex and self.sex != other.sex:
            found.append(SEX)
        if self.name and other.name and not self.name & other.name and (found or not all(years)):
            found.append(NAME)
        return found


def contradictions(persons: Iterable[Person]) -> list[str]:
    """The attributes by which any two contradict each other; empty where all can be one person."""
    found = {name for person, other in combinations(set(persons), 2) for name in person.contradictions(other)}
    return [name for name in (BIRTH_DATE, SEX, NAME) if name in found]


def _digest(value: str, key: bytes) -> str:
    return hashlib.blake2b(value.encode(errors="replace"), key=key, digest_size=8).hexdigest() if value else ""
