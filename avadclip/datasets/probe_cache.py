"""What was found in a file, by path, size and modification time, so that only new and changed files are read."""

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from os import stat_result
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip.errors import DatasetError

logger = logging.getLogger(__name__)

# Raise it when probing itself changes; a cache of another version starts anew.
_VERSION = 3
_REMEDY = (
    "wait until nobody else prepares videos there, and check that there is space and that you may write and lock files"
)
_CREATE = """
CREATE TABLE IF NOT EXISTS probes (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER,
    n_frames INTEGER, frame_rate REAL, end_seconds REAL, has_audio INTEGER, content_hash TEXT, frame_seconds BLOB,
    notes TEXT
);
CREATE TABLE IF NOT EXISTS arrays (key TEXT PRIMARY KEY, facts TEXT);
CREATE TABLE IF NOT EXISTS infos (key TEXT PRIMARY KEY, info TEXT);
"""
_SELECT = """
SELECT n_frames, frame_rate, end_seconds, has_audio, content_hash, frame_seconds, notes
FROM probes WHERE path = ? AND size = ? AND mtime_ns = ?
"""


@dataclass(frozen=True, eq=False)
class VideoFacts:
    """What is known from the file only."""

    n_frames: int
    frame_rate: float  # mean frames per second
    end_seconds: float  # when the last frame ends
    has_audio: bool
    content_hash: str  # sha256 of the file, hex
    frame_seconds: NDArray[np.float64] | None  # [n_frames]; kept if segments in seconds need it
    notes: tuple[str, ...] = ()  # for the owner of the file
    info: str | None = None  # of a short video: all that extraction needs, see VideoInfo.to_text


class ProbeCache:
    """A small SQLite file. As soon as :meth:`put` returns, its entry survives this process, however that ends."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["ProbeCache"]:
        """Open the cache at `path`; a damaged one, or one of another version, is discarded with a warning.

        Raises
        ------
        DatasetError : the file cannot be opened or written, or another process keeps it locked.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = _connect(path)
        except sqlite3.OperationalError as error:
            raise DatasetError(f"{path}: {error}; {_REMEDY}") from None
        except sqlite3.DatabaseError as error:
            logger.warning("%s: %s; it is only a cache, so it is made anew and every video is read again", path, error)
            path.unlink()
            connection = _connect(path)
        with closing(connection):
            yield cls(path, connection)

    def get(self, path: str, status: stat_result, with_times: bool) -> VideoFacts | None:
        """The facts about a file that has not changed since, or None; `with_times` also asks for `frame_seconds`."""
        row = self._connection.execute(_SELECT, (path, status.st_size, status.st_mtime_ns)).fetchone()
        if row is None or (with_times and row[5] is None):
            return None
        n_frames, frame_rate, end_seconds, has_audio, content_hash, times, notes = row
        frame_seconds = None if times is None else np.frombuffer(times, dtype=np.float64)
        told = tuple(json.loads(notes))
        return VideoFacts(n_frames, frame_rate, end_seconds, bool(has_audio), content_hash, frame_seconds, told)

    def put(self, path: str, status: stat_result, facts: VideoFacts) -> None:
        """Keep what was found in a file; `status` is its state before it was read."""
        times = None if facts.frame_seconds is None else facts.frame_seconds.tobytes()
        key = (path, status.st_size, status.st_mtime_ns)
        found = (facts.n_frames, facts.frame_rate, facts.end_seconds, facts.has_audio, facts.content_hash, times)
        notes = json.dumps(facts.notes)
        self._write("INSERT OR REPLACE INTO probes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*key, *found, notes))
        if facts.info is not None:
            kept = (_info_key(facts.content_hash, Path(path).name), facts.info)
            self._write("INSERT OR REPLACE INTO infos VALUES (?, ?)", kept)

    def recall(self, key: str) -> str | None:
        """What :meth:`note` has kept about arrays of features, or None."""
        row = self._connection.execute("SELECT facts FROM arrays WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def note(self, facts: Mapping[str, str]) -> None:
        """Keep what was found in arrays, by a key that says which arrays, in which state, and how they were read.

        In one transaction, because one for each of 10,000 small files would take longer than reading them.
        """
        self._write("INSERT OR REPLACE INTO arrays VALUES (?, ?)", *facts.items())

    def _write(self, statement: str, *rows: tuple[object, ...]) -> None:
        try:
            with self._connection:
                self._connection.executemany(statement, rows)
        except sqlite3.OperationalError as error:
            raise DatasetError(f"{self._path}: {error}; {_REMEDY}, then run the same command again") from None


def recall_info(probes: Path, content_hash: str, name: str) -> str | None:
    """:attr:`VideoFacts.info` of a file with this content and name, whatever became of the file that it was found in.

    None where nothing is known, or no cache can be read: then the file has to be asked.
    """
    try:
        with closing(sqlite3.connect(f"{probes.absolute().as_uri()}?mode=ro", timeout=1.0, uri=True)) as connection:
            query = "SELECT info FROM infos WHERE key = ?"
            row = connection.execute(query, (_info_key(content_hash, name),)).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else str(row[0])


def _info_key(content_hash: str, name: str) -> str:
    # The name decides with the content as what FFmpeg reads a file; another FFmpeg may find something else.
    return json.dumps([_VERSION, _pyav(), content_hash, name])


@cache
def _pyav() -> str:
    return version("av")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    try:
        # Only a power cut can damage it now, and then it starts anew; waiting for the disk would cost 10 ms a video.
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, _VERSION):  # 0: a new file
                raise sqlite3.DatabaseError(f"version {found}, expected {_VERSION}")
            connection.executescript(_CREATE)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise sqlite3.DatabaseError(damage)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
