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
from tiny_training import TRAIN, VAL, make_configuration, make_plan, what_to_train

from synthct.errors import SynthctError
from synthct.training import run as run_module
from synthct.training.distributed import Ranks
from synthct.training.loop import train
from synthct.training.what_to_train import TrainingOptions


def main() -> int:
    preprocessed, fold_folder, trainer, options = sys.argv[1:]
    options = json.loads(options)
    ranks = Ranks.from_environment()
    dies_at = options.pop("dies_at", None)
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO if ranks.is_main_process else logging.ERROR)
    run_module.ProgressFigure.draw = lambda *_: None
    plan = make_plan(make_configuration(settings=options.pop("settings", {}), **options.pop("training", {})))

    def progress(iterable, unit="", **_):
        for i, item in enumerate(iterable, 1):
            if unit == "step" and dies_at == [ranks.rank, i]:
                os.kill(os.getpid(), 9)
            yield item

    try:
        train(
            what_to_train(trainer, plan, Path(preprocessed), Path(fold_folder), {"train": TRAIN, "val": VAL}),
            TrainingOptions(device=torch.device("cpu"), loaders=0, ranks=ranks, **options),
            progress=progress,
        )
    except SynthctError as fault:
        print(f"rank {ranks.rank}: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
