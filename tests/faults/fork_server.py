"""Run as a script: a process that has loaded everything and forks a command at each request, in no time."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import traceback
from pathlib import Path

LOADED = (
    "torch._dynamo",  # which the first optimiser of a process imports
    "synthct.inference.predict_folder",
    "synthct.inference.predict_held_out",
    "synthct.evaluation.evaluate",
    "synthct.preprocessing.plan_and_preprocess",
    "synthct.training.loop",
    "synthct.dataset.importers",
    "synthct.phantom",
)


def main() -> None:
    """Answer each line, a request as JSON, with the process and then with its exit status."""
    for module in LOADED:
        importlib.import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _run(**json.loads(line))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def _run(
    command: str, arguments: list[str], folder: str, output: str, environment: dict[str, str], largest_file: int | None
) -> None:
    """Be the command from now on, leading a process group of its own."""
    status = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.environ.update(environment)
        os.chdir(folder)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
        sys.argv = [f"synthct_{command}", *arguments]
        status = importlib.import_module(f"synthct.commands.{command}").main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
