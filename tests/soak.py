"""Random kills, and what they cost: ``python -m tests.soak --rounds 200 [--seconds 300] [--seed 0]``.

Every round does one thing in a project of real videos, with the real DVC and real workers: extract, train, merge or
pull. A decode worker, the driver (our stage or command), DVC, or all processes at once are killed at a random moment.
Then the files are compared with those of an undisturbed run, the same command is run again, and the files are compared
once more. The exit status is 1 if anything was lost or damaged, or could not be made again. `remedy` counts the pulls
that needed what docs/troubleshooting.md advises: DVC's index removed, and `--force`.
"""

import argparse
import hashlib
import importlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from tests.support import quick_dvc, warm
from tests.support.dvc_project import quicken, read_params, write_params
from tests.support.team_factory import NAME, add_videos, write_repository

quick_dvc.install()

STAGES = ("code", "prepare", "extract_visual", "extract_audio", f"train@{NAME}-audio_visual-0")
DETECTOR = f"runs/{NAME}/audio_visual/seed0"
KEPT = (".cache/features", ".dvc/cache/files", "../remote/files")  # finished files here stay, whatever is killed
MADE = (f"features/{NAME}", f"runs/{NAME}", ".cache/features", "../remote/files")
BUSY = "another process is filling this folder"
LIMIT_SECONDS = 600.0


@dataclass(frozen=True)
class Operation:
    """The work of a round.

    Attributes
    ----------
    words : arguments of `program`.
    undo : removes some results, so that there is work to do.
    victims : the processes that may be killed, among worker, driver, dvc, group.
    """

    words: tuple[str, ...]
    undo: Callable[[random.Random], None]
    victims: tuple[str, ...]
    program: str = "dvc"


def _forget_features(chance: random.Random) -> None:
    for path in sorted(Path(".cache/features").glob("??/*.h5")):
        if chance.random() < 0.5:
            path.unlink()


def _forget_pulled(chance: random.Random) -> None:
    for folder in (f"features/{NAME}", DETECTOR):
        shutil.rmtree(folder, ignore_errors=True)  # after an earlier problem there may be none
    for path in sorted(Path(".dvc/cache/files/md5").glob("??/*")):
        if chance.random() < 0.5:
            path.unlink()


def _again(stage: str) -> tuple[str, ...]:
    return ("repro", "--force", "--single-item", stage)


OPERATIONS = {
    "extract pictures": Operation(
        _again(f"extract_visual@{NAME}"), _forget_features, ("worker", "driver", "dvc", "group")
    ),
    "extract sound": Operation(_again(f"extract_audio@{NAME}"), _forget_features, ("worker", "driver", "dvc", "group")),
    "train": Operation(_again(f"train@{NAME}-audio_visual-0"), lambda _chance: None, ("driver", "dvc", "group")),
    "merge": Operation(("features", "merge", "theirs"), _forget_features, ("driver", "group"), program="avadclip"),
    "pull": Operation(("pull", *STAGES), _forget_pulled, ("dvc", "group")),
}


def _main(operation: Operation, log: Path) -> None:
    """Run the command in a session of its own, as the body of a process."""
    os.setsid()
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if operation.program == "dvc":
        sys.exit(importlib.import_module("dvc.cli").main(list(operation.words)))
    sys.path.insert(0, str(Path.cwd()))
    importlib.import_module("avadclip.cli").app(list(operation.words))


def start(operation: Operation, log: Path) -> psutil.Process:
    """Start the command in a fork of this process, which has imported everything but the project."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            _main(operation, log)
        except SystemExit as ended:
            status = int(ended.code or 0)
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
        finally:
            sys.stdout.flush()
            os._exit(status)
    return psutil.Process(process)


def wait(process: psutil.Process) -> int:
    """Wait for the process, and return its exit status; a signal is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("spawn_main" in word for word in process.cmdline())
    return False


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return the living processes of its session, which may have outlived it."""
    found = []
    for candidate in psutil.process_iter():
        with suppress(OSError):
            if os.getsid(candidate.pid) == process.pid and candidate.status() != psutil.STATUS_ZOMBIE:
                found.append(candidate)
    return found


def kill(process: psutil.Process, operation: Operation, victim: str, chance: random.Random) -> bool:
    """Kill the victim; return False if there is none, or if it has ended."""
    below = process.children(recursive=True)
    workers = [child for child in below if _is_worker(child)]
    chosen = {
        "worker": [chance.choice(workers)] if workers else [],
        "driver": [process]
        if operation.program != "dvc"
        else [child for child in below if child.ppid() == process.pid],
        "dvc": [process],
        "group": [process, *below],
    }[victim]
    chosen = [one for one in chosen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    for one in chosen:
        with suppress(psutil.NoSuchProcess):
            one.suspend()  # as when a machine goes down: no process sees another one die
    for one in chosen:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    return bool(chosen)


def contents(folders: tuple[str, ...]) -> dict[str, str]:
    """Map path to sha256 of finished files, without curves, which are no result, and lists of checksums, which grow."""
    found = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if not path.name.startswith(".") and "curves" not in path.parts and path.suffix not in (".lock", ".sums")
    }


def unfinished() -> list[str]:
    """List the files that killed processes have left half written, under names that nothing reads."""
    return [str(path) for path in Path().rglob(".*.tmp")]


@dataclass
class Tally:
    """The findings, by operation and victim."""

    rounds: Counter[tuple[str, str]] = field(default_factory=Counter)
    killed: Counter[tuple[str, str]] = field(default_factory=Counter)
    repeated: Counter[tuple[str, str]] = field(default_factory=Counter)  # with the remedy
    problems: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    n_compared: int = 0

    def compare(self, key: tuple[str, str], when: str, found: dict[str, str], expected: dict[str, str]) -> None:
        """Note every file that differs from the one that an undisturbed run has made."""
        self.n_compared += len(found)
        for path, digest in found.items():
            if path.endswith("resume.safetensors"):
                continue  # read below, by the repetition
            if expected.get(path) != digest:
                self.problems[key].append(f"{when}: {path}: damaged, or another file")

    def __str__(self) -> str:
        lines = [f"{'operation':18}{'killed':8}{'rounds':>8}{'in time':>9}{'remedy':>8}{'problems':>10}"]
        lines += [
            f"{key[0]:18}{key[1]:8}{count:8}{self.killed[key]:9}{self.repeated[key]:8}{len(self.problems[key]):10}"
            for key, count in sorted(self.rounds.items())
        ]
        lines += [f"{' '.join(key)}: {problem}" for key, found in self.problems.items() for problem in found]
        return "\n".join(lines)


def soak(rounds: int, seconds: float, seed: int, log: Path) -> Tally:
    """Run rounds in the project in the working directory, until there are enough or the time is over."""
    chance, tally, began = random.Random(seed), Tally(), time.monotonic()
    expected = contents((*KEPT, *MADE))
    usual = dict.fromkeys(OPERATIONS, 8.0)  # seconds that each takes undisturbed
    for number in range(1, rounds + 1):
        if time.monotonic() - began > seconds:
            break
        name = chance.choice(list(OPERATIONS))
        operation = OPERATIONS[name]
        key = name, chance.choice(operation.victims)
        operation.undo(chance)
        before = contents(KEPT)
        process, delay = start(operation, log), chance.uniform(0.0, 0.8 * usual[name])
        killed = False
        end = time.monotonic() + delay
        while not killed and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(min(0.05, max(0.0, end - time.monotonic())) or 0.01)
            killed = time.monotonic() > end and kill(process, operation, key[1], chance)
        tally.rounds[key] += 1
        tally.killed[key] += killed
        status = wait(process)
        tally.compare(key, f"round {number}, after the kill", contents((*KEPT, *MADE)), expected)
        if lost := before.keys() - contents(KEPT).keys():
            tally.problems[key].append(f"round {number}: lost: {sorted(lost)}")
        if status != 0 and not (killed and key[1] != "worker"):  # another worker does the work of a killed one
            tally.problems[key].append(f"round {number}: it ended with {status}: {log.read_text()[-800:]}")
        again = time.monotonic()
        needed = {path for path in expected if name == "merge" or not path.startswith(".cache/")}
        _repeat(operation, process, log, tally, key, number, needed)
        usual[name] = 0.5 * (usual[name] + time.monotonic() - again)
        found = contents((*KEPT, *MADE))
        tally.compare(key, f"round {number}, again", found, expected)
        if missing := needed - found.keys():
            said = log.read_text()[-800:]
            tally.problems[key].append(f"round {number}, again: missing: {sorted(missing)}; it said: {said}")
        tell(f"{number:4} {name}: {key[1]} {f'after {delay:.1f} s' if killed else 'was too late'}")
        for problem in tally.problems[key]:
            if problem.startswith(f"round {number},") or problem.startswith(f"round {number}:"):
                tell(f"     {problem}")
    return tally


def _repeat(
    operation: Operation,
    killed: psutil.Process,
    log: Path,
    tally: Tally,
    key: tuple[str, str],
    number: int,
    needed: set[str],
) -> None:
    """Run the same command, as somebody types it who has seen it die. What has outlived DVC may still be at it."""
    status = wait(start(operation, log))
    if status != 0 and BUSY in log.read_text():
        psutil.wait_procs(family(killed), LIMIT_SECONDS)
        status = wait(start(operation, log))
    if operation.words[0] == "pull" and (status != 0 or needed - contents((*KEPT, *MADE)).keys()):
        # DVC writes its index in many transactions. If it is killed between two of them, it knows only some of the
        # outputs from then on, pulls these alone and calls everything up to date.
        tally.repeated[key] += 1
        shutil.rmtree(Path(importlib.import_module("dvc.repo").Repo().site_cache_dir) / "index")
        status = wait(start(replace(operation, words=("pull", "--force", *STAGES)), log))
    if status != 0:
        tally.problems[key].append(f"round {number}, again: it ended with {status}: {log.read_text()[-800:]}")
    psutil.wait_procs(family(killed), LIMIT_SECONDS)


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def make_project(folder: Path) -> None:
    """Make a project that is extracted, trained and pushed, with a colleague's work cache, and change into it."""
    project = folder / "project"
    write_repository(project)
    params = read_params(project)
    quicken(params, NAME, rounds=4, batch_size=2)
    write_params(project, params)
    add_videos(project)
    os.chdir(project)
    for words in ("init --quiet", "-c user.name=Soak -c user.email= commit --quiet --allow-empty --message Project"):
        subprocess.run(["git", *words.split()], check=True)
    remote = ("remote", "add", "--default", "disk", str(folder / "remote"))
    for words in (remote, ("repro", *STAGES), ("push", *STAGES)):
        log = folder / "made.log"
        if wait(start(Operation(words, lambda _chance: None, ()), log)) != 0:
            sys.exit(log.read_text())
    shutil.copytree(".cache/features", "theirs")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after this time")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ |= {"DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "PATH": search}
    for library in warm.LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory(prefix="soak", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        make_project(folder)
        began = time.monotonic()
        tally = soak(asked.rounds, asked.seconds, asked.seed, folder / "log")
        n_problems = sum(map(len, tally.problems.values()))
        left = len(unfinished())
        os.chdir("/")
    tell(str(tally))
    tell(
        f"{sum(tally.rounds.values())} rounds in {time.monotonic() - began:.0f} s, seed {asked.seed}:"
        f" {sum(tally.killed.values())} killed in time, {tally.n_compared} files compared, {left} unfinished under"
        f" names that nobody reads, {n_problems or 'no'} problems" + ("" if n_problems else ": nothing was lost")
    )
    sys.exit(1 if n_problems else 0)


if __name__ == "__main__":
    main()
