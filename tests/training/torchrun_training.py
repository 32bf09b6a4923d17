"""A tiny training as one of several processes; started by torchrun in the tests, once a rank.

python -m torch.distributed.run --nproc_per_node=2 torchrun_training.py PREPROCESSED FOLD TRAINER '{"epochs": 1}'
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import torch
from tiny_training import TRAIN, VAL, make_configuration

from synthct.errors import SynthctError
from synthct.planning.plan import Plan
from synthct.training import run as run_module
from synthct.training.distributed import Ranks
from synthct.training.loop import train


def main() -> int:
    preprocessed, fold_folder, trainer, options = sys.argv[1:]
    options = json.loads(options)
    ranks = Ranks.from_environment()
    dies_at = options.pop("dies_at", None)
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO if ranks.leads else logging.ERROR)
    run_module.ProgressFigure.draw = lambda *_: None
    configuration = make_configuration(**options.pop("training", {}))
    plan = Plan(1, "0.1.0", "Dataset001_Test", "default", ("T1",), ".nii.gz", 4, {"tiny": configuration})

    def progress(iterable, unit="", **_):
        for i, one in enumerate(iterable, 1):
            if unit == "step" and dies_at == [ranks.rank, i]:
                os.kill(os.getpid(), 9)
            yield one

    try:
        train(
            trainer,
            plan,
            "tiny",
            preprocessed_folder=Path(preprocessed),
            fold_folder=Path(fold_folder),
            split={"train": TRAIN, "val": VAL},
            device=torch.device("cpu"),
            workers=0,
            ranks=ranks,
            progress=progress,
            **options,
        )
    except SynthctError as fault:
        print(f"rank {ranks.rank}: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
