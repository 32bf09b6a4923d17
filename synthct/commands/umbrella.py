"""``synthct``: lists the commands and runs them: ``synthct train 1 cyclegan`` is ``synthct_train 1 cyclegan``."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from synthct import __version__
from synthct.commands.completion import bash_completion

BAD_INPUT = 2  # the exit status
COMMANDS = {
    "import": ("import_data", "DICOM files, SynthRAD or two folders of images become a raw dataset"),
    "make_example": ("make_example", "a raw dataset of head phantoms, to try everything out"),
    "plan_and_preprocess": ("plan_and_preprocess", "check a raw dataset, plan, and cache its slices"),
    "train": ("train", "train a model on one fold, and predict the patients that it held out"),
    "predict": ("predict", "write a synthetic CT for every MR of a folder"),
    "evaluate": ("evaluate", "score trained models, or the CTs of any two folders"),
    "export_model": ("export_model", "pack a trained model into one file"),
    "install_model": ("install_model", "check such a file, and make a model folder of it"),
}  # in the order in which they are used: module, and what it does


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command, *others = arguments or ["--help"]
    if command in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if command == "--version":
        print(f"synthct {__version__}")
        return 0
    if command == "completion":
        return _completion(others)
    name = command.removeprefix("synthct_").replace("-", "_")
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        remedy = f"did you mean {near[0]}?" if near else "synthct --help lists the commands."
        print(f"synthct: {command} is not a command of synthct; {remedy}", file=sys.stderr)
        return BAD_INPUT
    return importlib.import_module(f"synthct.commands.{COMMANDS[name][0]}").main(others)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: synthct COMMAND ...",
            "",
            "Self-configuring MR-to-CT synthesis. Each command is also there by itself, such as synthct_train.",
            "",
            "commands:",
            *lines,
            f"  {'completion bash':{width}}  print completions for bash: source <(synthct completion bash)",
            "",
            "example:",
            "  synthct train 1 cyclegan      the same as synthct_train 1 cyclegan",
            "  synthct train --help          the options of a command",
        ]
    )


def _completion(arguments: Sequence[str]) -> int:
    if list(arguments) != ["bash"]:
        print("synthct: completions are for bash alone; write synthct completion bash.", file=sys.stderr)
        return BAD_INPUT
    print(bash_completion(COMMANDS), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
