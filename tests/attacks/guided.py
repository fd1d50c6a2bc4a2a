"""One reader under libFuzzer, where atheris is installed.

libFuzzer changes files, and goes on changing those that reached new branches. It sees branches and comparisons only in
Python code that is instrumented here: `avadclip` and a few parsers. In libraries in C the changes are blind.
"""

import hashlib
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["avadclip", "ruamel", "pickletools"]) if atheris else nullcontext():
    from tests.attacks.readers import READERS, survives

from numpy.lib import _format_impl
from torch import _weights_only_unpickler

from tests.attacks.damage import changed_inside, damaged
from tests.attacks.limits import MOST_SECONDS, little_memory

PARSERS = (_format_impl._read_array_header, _weights_only_unpickler.Unpickler.load)


def fuzz(name: str, folder: Path, seconds: float, seed: int) -> None:
    """Read files until the time is over, and then end this process; a crash ends it earlier.

    Files that reach more code go into `inputs`, and those that break the reader into `finds`. `count` holds how many
    files were read, and how long that took.
    """
    reader = READERS[name]
    work = folder / "work"
    work.mkdir(exist_ok=True)
    count = os.open(folder / "count", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    began, n_read, seen = time.process_time(), 0, set[tuple[str, ...]]()

    def read(content: bytes) -> None:
        nonlocal n_read
        with little_memory():
            error = survives(reader, content, work)
        n_read += 1
        spent = time.process_time() - began
        os.pwrite(count, f"{n_read:10} {spent:10.1f}".encode(), 0)
        if error is not None and (where := _where(error)) not in seen:
            seen.add(where)
            (folder / "finds" / hashlib.sha256(content).hexdigest()).write_bytes(content)
            sys.stderr.write(f"FOUND {type(error).__name__}: {error}: {where}\n")
        if spent > seconds:
            os._exit(0)

    def change(content: bytes, most_bytes: int, number: int) -> bytes:
        random = np.random.default_rng(number)
        if number % 2:
            return changed_inside(content, random, lambda part: damaged(part, random))[:most_bytes]
        return changed_inside(content, random, lambda part: atheris.Mutate(part, len(part) + 64))[:most_bytes]

    for function in PARSERS:
        atheris.instrument_func(function)
    options = {
        "seed": seed + 1,  # 0 would mean a random seed
        "timeout": MOST_SECONDS,
        "report_slow_units": MOST_SECONDS,
        "rss_limit_mb": 0,  # little_memory() says what is too much
        "max_len": 2 * len(reader.whole()) + 4096,
        "artifact_prefix": f"{folder / 'finds'}/",
    }
    words = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup(["guided", *words, str(folder / "inputs")], read, custom_mutator=change)
    atheris.Fuzz()


def _where(error: BaseException) -> tuple[str, ...]:
    """Identify a find by the type of its error and the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__, line
