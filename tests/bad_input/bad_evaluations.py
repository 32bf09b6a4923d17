"""What cannot be scored."""

from __future__ import annotations

from bad import COMPARING, EVALUATING, Bad, bad_images
from spoil import CT, HELD_OUT, all_of, copied, cut_off, holding, moved, nothing, removed, renamed, under, voxels

EVALUATIONS = [
    Bad("a dataset without models", nothing, "evaluate -d 5", "005", "It holds Dataset001_Heads"),
    Bad(
        "nothing trained to evaluate",
        removed(under("synthct_results", "Dataset001_Heads")),
        EVALUATING,
        "synthct_results",
        "synthct_train 1 cyclegan",
    ),
    Bad("sCTs without references", nothing, "evaluate -p cts", "-r", "give both or none"),
    Bad("a dataset and two folders", nothing, COMPARING + " -d 1", "-d", "leave it out"),
    Bad("masks without folders", nothing, "evaluate -m cts", "-m", "go with -p and -r"),
    Bad("no folder of sCTs", nothing, "evaluate -p nowhere -r cts", "nowhere", "give"),
    Bad("no folder of references", nothing, "evaluate -p cts -r nowhere", "nowhere", "give"),
    Bad(
        "folders without a common name",
        all_of(renamed(under("cts", "A.nii.gz"), "X.nii.gz"), renamed(under("cts", "B.nii.gz"), "Y.nii.gz")),
        COMPARING,
        "cts",
        "name",
    ),
    Bad(
        "references that do not overlap",
        moved(under("reference_cts", "A.nii.gz"), 1000.0),
        COMPARING,
        "reference_cts/A.nii.gz",
        "header",
    ),
    Bad(
        "masks that are empty",
        all_of(
            copied(CT, "masks", "A.nii.gz"),
            copied(CT, "masks", "B.nii.gz"),
            voxels(under("masks", "A.nii.gz"), lambda one: 0 * one),
        ),
        COMPARING + " -m masks",
        "masks/A.nii.gz",
        "fix or remove",
    ),
    Bad(
        "an evaluation folder that is a file",
        holding(under("cts", "evaluation"), "mine"),
        COMPARING,
        "cts/evaluation",
        "is a file",
    ),
    *bad_images(under("cts", "A.nii.gz"), "cts/A.nii.gz", COMPARING, "an sCT")[:4],
    *bad_images(under("reference_cts", "A.nii.gz"), "reference_cts/A.nii.gz", COMPARING, "a reference")[:4],
    Bad("a held-out sCT cut off", cut_off(HELD_OUT), EVALUATING, "validation/P3.nii.gz", "copy it again"),
    Bad(
        "a split that is none",
        holding(
            under("synthct_results", "Dataset001_Heads", "cyclegan__plans__2d_lowres", "fold_0", "split.json"), "[]"
        ),
        EVALUATING,
        "split.json",
        "restore it",
    ),
    Bad(
        "references that are gone",
        removed(under("synthct_raw", "Dataset001_Heads", "targetsTr")),
        EVALUATING,
        "Dataset001_Heads",
        "targetsTr",
    ),
    Bad(
        "a raw dataset that is gone",
        removed(under("synthct_raw", "Dataset001_Heads")),
        EVALUATING,
        "synthct_raw",
        "no dataset",
    ),
]
