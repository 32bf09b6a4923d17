"""Examples that cannot be written."""

from __future__ import annotations

from bad import Bad
from spoil import holding, nothing, under

EXAMPLES = [
    Bad("an example over a dataset", nothing, "make_example --name Heads", "Dataset001_Heads", "--overwrite"),
    Bad("an example of an odd name", nothing, "make_example -d 2 --name ../x", "../x", "takes letters"),
    Bad("an example of a huge voxel", nothing, "make_example -d 2 --voxel_scale 99", "--voxel_scale", "0.5..8"),
    Bad("an example of a negative seed", nothing, "make_example -d 2 --seed -4", "--seed", "negative"),
    Bad(
        "an example where a file is",
        holding(under("synthct_raw", "Dataset002_X"), "mine"),
        "make_example -d 2 --name X",
        "Dataset002_X",
        "another number",
    ),
]
