"""Plans, splits and fingerprints edited to nonsense."""

from __future__ import annotations

from bad import PLANNING, TRAINING, Bad
from spoil import FINGERPRINT, HTML, PLAN, SPLITS, edited, holding, removed, under

PLANS = [
    Bad("plans.json is HTML", holding(PLAN, HTML), PLANNING, "plans.json", "fix or restore"),
    Bad("plans.json is a list", holding(PLAN, "[]"), PLANNING, "plans.json", "must be a table"),
    Bad("plans.json of a newer version", edited(PLAN, "format_version", 99), PLANNING, "plans.json", "update synthct"),
    Bad("plans.json with an unknown key", edited(PLAN, "n_fold", 3), PLANNING, "'n_fold'", "known keys are"),
    Bad("plans.json with a wrong type", edited(PLAN, "n_folds", "4"), PLANNING, "'n_folds'", "must be of type int"),
    Bad("plans.json without folds", edited(PLAN, "n_folds", 0), PLANNING, "n_folds", "plans.json"),
    Bad(
        "plans.json of negative spacing",
        edited(PLAN, "configurations.2d_lowres.preprocessing.spacing_mm", [-1, 1, 1]),
        PLANNING,
        "spacing_mm",
        "plans.json",
    ),
    Bad(
        "plans.json with a CT window upside down",
        edited(PLAN, "configurations.2d.methods.cyclegan.coding.ct_window_hu", [1400, -600]),
        TRAINING,
        "ct_window_hu",
        "plans.json",
    ),
    Bad(
        "plans.json with no channels",
        edited(PLAN, "configurations.2d_lowres.methods.cyclegan.base_channels", 0),
        TRAINING,
        "base_channels",
        "plans.json",
    ),
    Bad(
        "plans.json with a misspelt setting of a method",
        edited(PLAN, "configurations.2d_lowres.methods.cyclegan.n_block", 2),
        TRAINING,
        "'methods.cyclegan.n_block'",
        "plans.json",
    ),
    Bad(
        "plans.json of a configuration that inherits from none",
        edited(PLAN, "configurations.2d_lowres.inherits_from", "4d"),
        PLANNING,
        "configurations.2d_lowres.inherits_from",
        "plans.json",
    ),
    Bad(
        "plans.json of neighbours without end",
        edited(PLAN, "configurations.2d_lowres.input", {"neighbours": 99}),
        TRAINING,
        "neighbours",
        "plans.json",
    ),
    Bad("no plans.json", removed(PLAN), TRAINING, "plans.json", "synthct_plan_and_preprocess"),
    Bad("splits of an unknown patient", edited(SPLITS, "0.val", ["P9"]), PLANNING, "P9", "remove"),
    Bad("splits that list a patient twice", edited(SPLITS, "0.val", ["P1"]), TRAINING, "fold 0 lists P1", "remove"),
    Bad("splits without a fold", holding(SPLITS, "[]"), TRAINING, "splits_final.json", "delete it"),
    Bad(
        "splits without a training patient",
        edited(SPLITS, "0", {"train": [], "val": ["P1"]}),
        TRAINING,
        "splits_final.json: fold 0",
        "add",
    ),
    Bad("splits as a table", holding(SPLITS, "{}"), PLANNING, "splits_final.json", "must be a list"),
    Bad("splits as a number", holding(SPLITS, "5"), PLANNING, "splits_final.json", "must be a list"),
    Bad("splits that are not JSON", holding(SPLITS, "P1, P2"), TRAINING, "splits_final.json", "fix or restore"),
    Bad("no splits", removed(SPLITS), TRAINING, "splits_final.json", "synthct_plan_and_preprocess"),
    Bad(
        "a fingerprint that is not a table", holding(FINGERPRINT, "[]"), TRAINING, "dataset_fingerprint.json", "must be"
    ),
    Bad("no fingerprint", removed(FINGERPRINT), TRAINING, "dataset_fingerprint.json", "synthct_plan_and_preprocess"),
    Bad(
        "a transform that is none",
        holding(under("synthct_preprocessed", "Dataset001_Heads", "registrations", "P1.tfm"), "not a transform"),
        PLANNING + " --register",
        "P1.tfm",
        "fix it, or remove it",
    ),
]
