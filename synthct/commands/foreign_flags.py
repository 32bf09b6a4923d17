"""What nnU-Net's users type by habit: its flags are accepted where they mean the same here, else answered with our way.

They are not in the help. An answered flag ends the command with exit status 2 and one sentence.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BAD_INPUT = 2  # the exit status


@dataclass(frozen=True)
class SameAs:
    """Another spelling of an option of ours."""

    option: str


@dataclass(frozen=True)
class Needless:
    """Accepted, and changes nothing: it is always done here."""


@dataclass(frozen=True)
class Answered:
    """Not accepted.

    Attributes:
        answer: what to do in its place; ``{value}`` stands for the value that was given.
        example: the value in the answer where none was given.
    """

    answer: str
    example: str = ""


ForeignFlag = SameAs | Needless | Answered

_PLANS = Answered("a dataset has one plan here, its plans.json; leave -p out, and choose a planner where it is made: "
                  "synthct_plan_and_preprocess -d ID -p default.")  # fmt: skip
_TEST_TIME = Answered("images are not mirrored at prediction here, so there is nothing to disable; leave it out.")
_ONE_PROCESS = Answered(
    "synthct_predict reads, predicts and writes one MR after another; leave it out. --threads N sets how many threads "
    "compute, and --scheduler ADDRESS spreads the MRs over a cluster."
)
_PARTS = Answered("MRs are not split into parts here; give each command a folder of its own, or use --scheduler.")
_PROBABILITIES = Answered(
    "there are no probabilities to save: an sCT is in HU; several folds are combined at prediction "
    "(synthct_predict -f 0 1 --combine mean), and their SD is written with --save_uncertainty."
)
_EVALUATE_FILES = Answered(
    "the channels are those of the model here; give two folders: synthct_evaluate -p CTS -r REFERENCE_CTS."
)

FOREIGN_FLAGS: Mapping[str, Mapping[str, ForeignFlag]] = {
    "synthct_plan_and_preprocess": {
        "--verify_dataset_integrity": Needless(),
        "-npp": SameAs("-np"),
        "-nps": SameAs("-np"),
        "-npfp": SameAs("-np"),
        "-pl": SameAs("--planner"),
        "--no_pp": Answered(
            "planning and preprocessing are one step here; to only check a dataset, use --verify_only."
        ),
        "-gpu_memory_target": Answered(
            "network sizes do not follow from the GPU's memory here; where it is short, train with -c 2d_lowres."
        ),
        "-overwrite_target_spacing": Answered(
            "leave it out, and after planning edit the spacing in plans.json (documentation/how_to.md)."
        ),
        "-overwrite_plans_name": _PLANS,
    },
    "synthct_train": {
        "--c": SameAs("--continue"),
        "-p": _PLANS,
        "-tr": Answered(
            "the trainer is the second argument, and the configuration follows -c: "
            "synthct_train DATASET {value} FOLD -c CONFIGURATION.",
            "TRAINER",
        ),
        "--npz": Answered(
            "leave it out: there are no probabilities to keep, and the sCTs of held-out patients are written anyway; "
            "synthct_predict combines the folds."
        ),
        "-num_gpus": Answered(
            "for several GPUs start the training with torchrun: "
            "torchrun --nproc_per_node={value} -m synthct.commands.train DATASET TRAINER FOLD.",
            "2",
        ),
        "--val_best": Answered("no best checkpoint is kept here; --val predicts with the final one."),
        "--use_compressed": Answered("leave it out; slices are read as they were cached."),
        "--disable_checkpointing": Answered(
            "a training here can always go on after a stop; for fewer checkpoints give --checkpoint_minutes 1e6."
        ),
        "-pretrained_weights": Answered("a training starts from random weights here; leave it out."),
    },
    "synthct_predict": {
        "--c": SameAs("--continue_prediction"),
        "-step_size": Answered(
            "leave it out: whole slices go through the network here, so there is no sliding window with a step size."
        ),
        "--disable_tta": _TEST_TIME,
        "--save_probabilities": _PROBABILITIES,
        "--npz": _PROBABILITIES,
        "-npp": _ONE_PROCESS,
        "-nps": _ONE_PROCESS,
        "-np": _ONE_PROCESS,
        "-num_gpus": Answered(
            "a prediction uses one GPU here, which -device chooses, such as -device cuda:1; to use several, start "
            "workers of a cluster and give --scheduler ADDRESS."
        ),
        "-num_parts": _PARTS,
        "-part_id": _PARTS,
        "-p": Answered("a model folder holds its own plan, so leave -p out; -d, -tr and -c choose the model."),
        "-prev_stage_predictions": Answered("there are no cascades here; leave it out."),
    },
    "synthct_evaluate": {
        "-djfile": _EVALUATE_FILES,
        "-pfile": _EVALUATE_FILES,
        "-npp": SameAs("-np"),
        "-nps": SameAs("-np"),
    },
}


class _Needless(argparse.Action):
    def __init__(self, option_strings: list[str], dest: str, flag: ForeignFlag) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=argparse.SUPPRESS)

    def __call__(self, *_: Any) -> None:
        """There is nothing to do."""


class _Answered(argparse.Action):
    def __init__(self, option_strings: list[str], dest: str, flag: Answered) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs="?", help=argparse.SUPPRESS)
        self.flag = flag

    def __call__(
        self, parser: argparse.ArgumentParser, _: argparse.Namespace, value: Any, option: str | None = None
    ) -> None:
        answer = self.flag.answer.replace("{value}", value or self.flag.example)
        parser.exit(BAD_INPUT, f"{parser.prog}: {option} is a flag of nnU-Net: {answer}\n")


def accept_foreign_flags(parser: argparse.ArgumentParser) -> None:
    """Add to a command's parser what nnU-Net's users type by habit; the command's own options go first."""
    ours = parser._option_string_actions
    for name, flag in FOREIGN_FLAGS.get(parser.prog, {}).items():
        if name in ours:
            continue
        if isinstance(flag, SameAs):
            ours[name] = ours[flag.option]  # a further option string, which the help does not show
        else:
            parser.add_argument(name, action=_Needless if isinstance(flag, Needless) else _Answered, flag=flag)
