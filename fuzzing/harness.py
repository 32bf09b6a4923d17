"""One entry point under fuzzing: bounded in memory and time, from small valid files, with the way to reproduce a find.

Every input must be read, or refused by a SynthctError in one sentence that names the file. Anything else ends the run
and is saved: another exception, a crash of a library, an input that takes many seconds or much memory.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import atheris

from synthct.errors import SynthctError

ADDRESS_SPACE = 6 * 2**30  # bytes; the libraries alone take two
MAX_MEMORY_MB = 1500  # resident
SLOWEST_SECONDS = 10
LONGEST_INPUT = 2**16  # bytes
ARTIFACTS = Path(__file__).parent / "artifacts"
CORPUS = Path(__file__).parent / "corpus"


def refused(read: Callable[[], object], named: str) -> bool:
    """Whether ``read`` refuses its input as a user is to see it: False where it reads it.

    Args:
        named: what the sentence must hold, such as the file's path.
    """
    try:
        read()
    except SynthctError as fault:
        message = str(fault)
        if named not in message:
            raise AssertionError(f"the message does not name the file: {message!r}") from fault
        if "\n" in message or not message.endswith(".") or len(message) > 800:
            raise AssertionError(f"the message is no sentence: {message!r}") from fault
        message.encode("utf-8")
        return True
    return False


def fuzz(
    name: str,
    seeds: Mapping[str, bytes],
    test_one: Callable[[bytes, Path], None],
    mutate: Callable[[bytes, int, int], bytes] | None = None,
) -> None:
    """Run libFuzzer on one entry point; ends the process.

    Args:
        name: of the entry point.
        seeds: valid files by name, from which the inputs are mutated.
        test_one: gets the input and an empty folder in memory.
        mutate: (input, longest size, seed) to another input, that knows the format.
    """
    parser = argparse.ArgumentParser(prog=f"python -m fuzzing.{name}")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default 60)")
    parser.add_argument("--reproduce", type=Path, help="a saved input: run it alone and show what happens")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="synthct_fuzz_", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    if arguments.reproduce:
        test_one(arguments.reproduce.read_bytes(), folder)
        print("read, or refused as it should be")
        return
    corpus, artifacts = CORPUS / name, ARTIFACTS / name
    for made in (corpus, artifacts):
        made.mkdir(parents=True, exist_ok=True)
    for seed, content in seeds.items():
        (corpus / f"seed_{seed}").write_bytes(content)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before_mb = _peak_mb()

    def one(data: bytes) -> None:
        test_one(data, folder)
        if _peak_mb() > before_mb + MAX_MEMORY_MB:
            raise MemoryError(f"took more than {MAX_MEMORY_MB} MB for an input of {len(data)} bytes")

    print(f"{name}: {len(seeds)} seeds", flush=True)
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SLOWEST_SECONDS}",
        "-rss_limit_mb=0",  # by ``one``, which knows what was there before
        f"-artifact_prefix={artifacts}/",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    custom = {"custom_mutator": mutate} if mutate else {}
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, **custom)
    atheris.Fuzz()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
