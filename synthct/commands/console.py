"""What all commands share: arguments, messages on the terminal, exit status, progress bars."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from synthct import __version__
from synthct.commands.argument_types import positive_integer
from synthct.commands.foreign_flags import accept_foreign_flags
from synthct.commands.threads import bound_spinning
from synthct.errors import SynthctError, os_error_sentence
from synthct.model_folder import CHECKPOINT_FINAL
from synthct.parallel import CaseRunner, available_cores, left_out_sentences
from synthct.paths import root_folder

OK, BUG, BAD_INPUT, LEFT_OUT, INTERRUPTED = 0, 1, 2, 3, 130


def print_wrapped(text: str, *, indent: str = "  ", break_on_hyphens: bool = True) -> None:
    """A paragraph on the terminal, in lines of 100 characters at most, all but the first indented."""
    print(textwrap.fill(text, 100, subsequent_indent=indent, break_on_hyphens=break_on_hyphens))


def make_parser(command: str, summary: str, example: str) -> argparse.ArgumentParser:
    """A parser with the options that every command has, and an example under its help."""
    parser = argparse.ArgumentParser(
        prog=command,
        description=summary,
        epilog="example:\n" + textwrap.indent(textwrap.dedent(example).strip(), "  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action="version", version=f"synthct {__version__}")
    return parser


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The ``-np`` option."""
    parser.add_argument(
        "-np",
        dest="workers",
        type=positive_integer,
        default=min(available_cores(), 8),
        metavar="N",
        help="worker processes (default: %(default)s)",
    )


def add_skip_bad(parser: argparse.ArgumentParser) -> None:
    """The ``--skip_bad`` option."""
    parser.add_argument(
        "--skip_bad",
        action="store_true",
        help="leave out patients whose files cannot be used, and go on with the others; they are listed at the end, "
        f"and the exit status is {LEFT_OUT}",
    )


def case_runner(arguments: argparse.Namespace, executor: Executor | None = None) -> CaseRunner:
    """How the options want cases worked through: ``-np`` and ``--skip_bad`` where the command has them, a progress bar.

    Args:
        arguments: of the command.
        executor: does the work in place of processes of our own.

    Returns:
        A new one, of which no case is bad yet.
    """
    return CaseRunner(
        workers=getattr(arguments, "workers", 1),
        executor=executor,
        progress=progress_bar,
        bad={} if getattr(arguments, "skip_bad", False) else None,
    )


def add_scheduler(parser: argparse.ArgumentParser, note: str = "") -> None:
    """The ``--scheduler`` option; ``note`` goes before the end of its help."""
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="the workers of a dask cluster do the work; such as tcp://node1:8786, needs synthct[cluster]. "
        f"{note}Raw, preprocessed and results folders, MRs and output must be on a file system that all workers see "
        "under the same path",
    )


def cluster(
    arguments: argparse.Namespace, *, reads: Sequence[Path], writes: Sequence[Path]
) -> AbstractContextManager[Executor | None]:
    """The executor of the cluster that ``--scheduler`` names, or None without one; see ``cluster_executor``."""
    if arguments.scheduler is None:
        return nullcontext()
    from synthct.cluster import cluster_executor

    return cluster_executor(arguments.scheduler, reads=reads, writes=writes)


def add_model_choice(parser: argparse.ArgumentParser) -> None:
    """The options by which a trained model and its folds are chosen; see ``chosen_model_folder``."""
    parser.add_argument("-m", dest="model_folder", type=Path, metavar="MODEL_FOLDER", help="a model folder, anywhere")
    parser.add_argument("-d", dest="dataset", metavar="ID", help="dataset that the model was trained on")
    parser.add_argument("-tr", dest="trainer", metavar="NAME", help="trainer, such as cyclegan or unet")
    parser.add_argument("-c", dest="configuration", metavar="NAME", help="configuration, such as 2d")
    parser.add_argument("-f", dest="folds", nargs="+", metavar="FOLD", help="folds (default: all trained)")
    parser.add_argument("-chk", dest="checkpoint", default=CHECKPOINT_FINAL, metavar="FILE", help="%(default)s")


def chosen_model_folder(arguments: argparse.Namespace) -> Path:
    """The model that the options choose; what they leave open is settled by the training that ended last.

    Raises:
        FolderError, DatasetError, ModelError: there is no such model.
    """
    from synthct.dataset.raw import find_dataset_folder
    from synthct.inference.predict_folder import newest_model_folder

    if arguments.model_folder is not None:
        return arguments.model_folder
    results = root_folder("synthct_results")
    dataset = (
        find_dataset_folder(results, arguments.dataset, "synthct_results").name if arguments.dataset else "Dataset*"
    )
    pattern = f"{arguments.trainer or '*'}__plans__{arguments.configuration or '*'}"
    return newest_model_folder(results, f"{dataset}/{pattern}", arguments.checkpoint)


def use_large_pages() -> None:
    """Ask torch, before its first tensor, for pages of 2 MB under large ones; a variable that is set stays as it is.

    On a CPU a prediction then takes about a fifth less time. A training, which takes fresh memory at every step, would
    lose more by clearing them.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def run(
    parser: argparse.ArgumentParser,
    action: Callable[[argparse.Namespace], Mapping[str, str] | None],
    argv: Sequence[str] | None,
) -> int:
    """Parse, act, and turn errors into exit statuses.

    2 and one sentence for what the user can fix, 3 where ``action`` returns patients whom it left out (and why), 130
    for Ctrl-C and SIGTERM, 1 and two lines for a bug; ``--debug`` shows the traceback of an error.
    """
    bound_spinning()
    accept_foreign_flags(parser)
    arguments = parser.parse_args(argv)
    arguments.command = parser.prog
    _log_to_terminal()
    try:
        with _ended_by_signals() as stopped:
            try:
                left_out = action(arguments)
            except Exception as fault:
                if stopped:  # what an import that is broken off makes of it
                    raise KeyboardInterrupt from fault
                raise
    except KeyboardInterrupt:
        _end_progress_bars()
        print(f"\n{parser.prog}: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as fault:
        if arguments.debug:
            raise
        status, message = _status_and_message(fault)
        _end_progress_bars()
        print(f"{parser.prog}: {message}", file=sys.stderr)
        return status
    if left_out:
        for sentence in left_out_sentences(left_out):
            print(f"{parser.prog}: {sentence}", file=sys.stderr)
        return LEFT_OUT
    return OK


def _end_progress_bars() -> None:
    """So that what is said next has a line of its own, and none is drawn after it."""
    if "tqdm" in sys.modules:
        for bar in list(getattr(sys.modules["tqdm"].tqdm, "_instances", ())):
            bar.close()


def _status_and_message(fault: Exception) -> tuple[int, str]:
    """The exit status of an error, and what the user reads of it."""
    if isinstance(fault, SynthctError):
        return BAD_INPUT, str(fault)
    if isinstance(fault, OSError):
        return BAD_INPUT, os_error_sentence(fault)
    if isinstance(fault, MemoryError):
        return BAD_INPUT, "There is not enough memory; end other programs, or use fewer workers (-np)."
    # A worker's error says its kind itself, after the case.
    kind = "" if type(fault) is RuntimeError else f"{type(fault).__name__}: "
    return BUG, (
        f"{kind}{fault}\nThis is a bug in synthct, not in your data; run the command again with --debug and report "
        "what it shows."
    )


@contextmanager
def _ended_by_signals() -> Iterator[list[int]]:
    """Inside, SIGTERM ends the command as Ctrl-C does; yields the signals that came. A second one ends it at once."""
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        for asked_to_end in before:
            signal.signal(asked_to_end, signal.SIG_DFL)
        raise KeyboardInterrupt

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before |= {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress_bar(iterable: Iterable[Any], **options: Any) -> Iterable[Any]:
    """tqdm on the terminal; in a log file a line now and then instead of a bar."""
    from tqdm import tqdm

    calm = {} if sys.stderr.isatty() else {"mininterval": 30.0, "maxinterval": 60.0}
    return tqdm(iterable, dynamic_ncols=True, **{**calm, **options})


class _TerminalHandler(logging.Handler):
    """Messages go through tqdm, so that they do not tear a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        prefix = "Warning: " if record.levelno >= logging.WARNING else ""
        tqdm.write(prefix + record.getMessage(), file=sys.stderr if prefix else sys.stdout)
        sys.stdout.flush()


def _log_to_terminal() -> None:
    for stream in (sys.stdout, sys.stderr):  # a name or a sign that the terminal lacks must not end the command
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logger = logging.getLogger("synthct")
    logger.handlers = [_TerminalHandler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
