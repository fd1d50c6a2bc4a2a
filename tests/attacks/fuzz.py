"""Try changed files on every reader of bytes that somebody else may have written.

``python -m tests.attacks.fuzz features --seconds 600`` changes files for ten minutes of processor time. Where
atheris is installed (``pip install '.[fuzz]'``), the lines that the changes reach guide them (`guided.py`); elsewhere
they are random. A file that causes anything but a result or a named error is kept in ``corpus/<reader>/``, and
``--keep`` adds a few of the files that reached new lines. Every run of the tests reads all of them again.
"""

import argparse
import faulthandler
import hashlib
import os
import resource
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.attacks import guided  # before the others, because it instruments what they import
from tests.attacks.corpus import CORPUS, add_what_reaches_more, keep
from tests.attacks.damage import damaged
from tests.attacks.limits import MOST_SECONDS, little_memory
from tests.attacks.readers import READERS, survives


@dataclass(frozen=True)
class Run:
    """How many files were read, and which of them are finds."""

    n_read: int
    finds: tuple[Path, ...]


def at_random(name: str, seconds: float, seed: int, folder: Path) -> Run:
    """Damage the intact file again and again."""
    random, whole = np.random.default_rng(seed), READERS[name].whole()
    end, n_read, finds = time.process_time() + seconds, 0, []
    with little_memory():
        while time.process_time() < end:
            content = damaged(whole, random)
            n_read += 1
            # A library in C may never return; then this ends the process with a traceback, and the file stays.
            faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
            if (error := survives(READERS[name], content, folder)) is not None:
                finds.append(keep(name, content))
                _say(f"{type(error).__name__}: {error}: {finds[-1]}")
    faulthandler.cancel_dump_traceback_later()
    return Run(n_read, tuple(finds))


def by_reach(name: str, seconds: float, seed: int, folder: Path) -> Run:
    """Let libFuzzer choose the changes in separate processes, because a crash ends its process and counts as a find."""
    inputs, finds, log = folder / "inputs", folder / "finds", folder / "log"
    inputs.mkdir(exist_ok=True)
    finds.mkdir(exist_ok=True)
    for content in (READERS[name].whole(), *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))):
        (inputs / hashlib.sha256(content).hexdigest()).write_bytes(content)
    n_read = 0
    while seconds > 0:
        known = set(finds.iterdir())
        (folder / "count").write_text("0 0")
        process = os.fork()
        if process == 0:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            guided.fuzz(name, folder, seconds, seed + n_read)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        n_here, spent = (folder / "count").read_text().split()
        n_read, seconds = n_read + int(n_here), seconds - float(spent)
        if status == 0:
            break
        if set(finds.iterdir()) == known:
            raise SystemExit(f"{name}: ended with {status}: {log.read_text()[-2000:]}")
    return Run(n_read, tuple(keep(name, path.read_bytes()) for path in sorted(finds.iterdir())))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Change files for a while; return 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.fuzz")
    parser.add_argument("readers", nargs="*", default=list(READERS), help=f"of {', '.join(READERS)}")
    parser.add_argument("--seconds", type=float, default=60, help="of a processor, for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder of inputs and finds, from which a later run goes on")
    parser.add_argument("--keep", action="store_true", help="add files that reach new lines to the corpus")
    chosen = parser.parse_args()
    found = 0
    for name in chosen.readers:
        with tempfile.TemporaryDirectory() if chosen.work is None else nullcontext(chosen.work / name) as place:
            folder, before = Path(place), _processor_seconds()
            folder.mkdir(parents=True, exist_ok=True)
            _say(f"{name}: in {folder}")
            run = (by_reach if guided.atheris else at_random)(name, chosen.seconds, chosen.seed, folder)
            spent = _processor_seconds() - before
            found += len(run.finds)
            if chosen.keep and guided.atheris:
                add_what_reaches_more(name, folder / "inputs")
        _say(f"{name}: {run.n_read} files in {spent:.0f} s, {len(run.finds) or 'no'} finds")
        for path in run.finds:
            _say(str(path))
    return 1 if found else 0


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    sys.exit(main())
