"""MetaImage and NRRD files that do not say where their volume lies, or say it twice and differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from synthetic_heads import make_grid

from synthct.errors import ImageError
from synthct.imaging.geometry import Grid
from synthct.imaging.io import read_image

GRID = make_grid((8, 9, 10), (1.5, 2.0, 2.5), "PIR", centre_mm=(30.0, -20.0, 10.0))


def edited(tmp_path: Path, ending: str, edits: dict[str, str | None]) -> Path:
    """A volume whose header lacks the lines that begin so, or has others in their place."""
    path = tmp_path / f"P{ending}"
    sitk.WriteImage(GRID.place(np.arange(720, dtype=np.int16).reshape(GRID.array_shape)), str(path))
    content = path.read_bytes()
    end = (
        content.index(b"LOCAL\n") if ending == ".mha" else len(content) if ending == ".mhd" else content.index(b"\n\n")
    )
    lines = content[:end].decode("latin-1").split("\n")
    for start, new in edits.items():
        (number,) = [number for number, line in enumerate(lines) if line.startswith(start)]
        lines[number : number + 1] = [] if new is None else [new]
    path.write_bytes("\n".join(lines).encode("latin-1") + content[end:])
    return path


def refused(path: Path) -> str:
    with pytest.raises(ImageError) as fault:
        read_image(path)
    message = str(fault.value)
    assert str(path) in message and "\n" not in message and message.endswith(".")
    return message


@pytest.mark.parametrize("ending", [".mha", ".mhd"])
@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"TransformMatrix": None}, "no TransformMatrix"),
        ({"Offset": None}, "no Offset"),
        ({"ElementSpacing": None}, "no ElementSpacing"),
        ({"TransformMatrix": None, "Offset": None, "AnatomicalOrientation": None}, "no TransformMatrix"),
        ({"TransformMatrix": "TransformMatrix = 1 0 0 0 1 0 0 0 1"}, "AnatomicalOrientation"),
        ({"AnatomicalOrientation": "AnatomicalOrientation = RAI"}, "AnatomicalOrientation RAI"),
        ({"CenterOfRotation": "DistanceUnits = cm"}, "DistanceUnits cm"),
    ],
)
def test_a_metaimage_that_does_not_say_where_it_lies_is_refused(tmp_path, ending, edits, words):
    assert words in refused(edited(tmp_path, ending, edits))


@pytest.mark.parametrize("ending", [".mha", ".mhd"])
@pytest.mark.parametrize(
    "edits",
    [
        {},
        {"AnatomicalOrientation": None},
        {"AnatomicalOrientation": "AnatomicalOrientation = ???"},
        {"AnatomicalOrientation": "AnatomicalOrientation = PIR"},  # where the axes run to
        {"AnatomicalOrientation": "AnatomicalOrientation = ASL"},  # where they come from
        {"TransformMatrix": "Rotation = 0 1 0 0 0 -1 -1 0 0"},
        {"ElementSpacing": "ElementSize = 2 2.5 1.5"},
    ],
)
def test_a_metaimage_that_says_it_by_another_name_is_read(tmp_path, ending, edits):
    assert Grid.of(read_image(edited(tmp_path, ending, edits))).matches(GRID)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"space:": None}, "does not say in which space"),
        ({"space:": "space dimension: 3"}, "does not say in which space"),
        ({"space:": None, "space directions": None, "space origin": None}, "does not say in which space"),
        ({"space:": None, "space directions": "spacings: 2 2.5 1.5", "space origin": None}, "in which space"),
        ({"space directions": None}, "no space directions"),
        ({"space directions": "spacings: 2 2.5 1.5"}, "no space directions"),
        ({"space directions": "space directions: (2,0,0) (0,2.5,0) none"}, "no space directions"),
        ({"space origin": None}, "no space origin"),
        ({"encoding": "encoding: raw\nspacings: 1 1 1"}, "spacings of 1 x 1 x 1 mm and space directions of 2 x 2.5"),
        ({"encoding": 'encoding: raw\nspace units: "cm" "cm" "cm"'}, "space units"),
    ],
)
def test_an_nrrd_that_does_not_say_where_it_lies_is_refused(tmp_path, edits, words):
    assert words in refused(edited(tmp_path, ".nrrd", edits))


@pytest.mark.parametrize(
    "edits",
    [
        {},
        {"encoding": 'encoding: raw\nspace units: "mm" "mm" "mm"'},
        {"encoding": "encoding: raw\nspacings: NaN NaN NaN"},
    ],
)
def test_an_nrrd_that_says_where_it_lies_is_read(tmp_path, edits):
    assert Grid.of(read_image(edited(tmp_path, ".nrrd", edits))).matches(GRID)
