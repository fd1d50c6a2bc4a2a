"""A file system whose n-th operation fails: opening for writing, write, flush, close, rename, link or new folder.

A failing write stores half of its data, as on a full disk.
"""

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_WRITING = set("wax+")
# Functions of `os` -> position of the argument that names what they write; `sendfile` is how `shutil` copies.
_CALLS = {"fsync": 0, "rename": 1, "replace": 1, "link": 1, "symlink": 1, "mkdir": 0, "sendfile": 0}


@dataclass
class Faults:
    """The operations below `root`, and which of them fails.

    Attributes
    ----------
    fails : number of the failing operation, from 0; None: nothing fails.
    touched : every file that an operation was called on.
    """

    root: Path
    fails: int | None
    error: int
    done: list[str] = field(default_factory=list)
    touched: set[Path] = field(default_factory=set)

    def happens(self, what: str, file: Any) -> bool:
        """Count an operation on a path or an open file, and return whether it is to fail."""
        name = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else os.fsdecode(file)  # noqa: PTH115
        place = Path(os.path.abspath(name))  # noqa: PTH100 - links are not followed
        if not place.is_relative_to(self.root):
            return False
        self.touched.add(place)
        self.done.append(f"{what} {place.relative_to(self.root)}")
        return len(self.done) - 1 == self.fails

    def attempt(self, what: str, file: Any) -> None:
        """Count an operation, and raise if it is to fail."""
        if self.happens(what, file):
            raise OSError(self.error, os.strerror(self.error), None if isinstance(file, int) else os.fspath(file))


class _File(io.FileIO):
    """A file whose writes are counted. As with the kernel, an error of a write names no file."""

    def __init__(self, file: Any, mode: str, closefd: bool, opener: Any, faults: Faults) -> None:
        self._faults: Faults | None = None
        super().__init__(file, mode, closefd, opener)
        self._faults = faults

    def write(self, content: Any) -> int:
        assert self._faults is not None
        if self._faults.happens("write", self.fileno()):
            super().write(bytes(content)[: len(content) // 2])
            raise OSError(self._faults.error, os.strerror(self._faults.error))
        return super().write(content)

    def close(self) -> None:
        """A network file system may report a full disk only on closing."""
        fails = self._faults is not None and not self.closed and self._faults.happens("close", self.fileno())
        super().close()
        if fails and self._faults is not None:
            raise OSError(self._faults.error, os.strerror(self._faults.error))


@contextmanager
def failing(root: Path, error: int = 0, fails: int | None = None) -> Iterator[Faults]:
    """Within the block, count what Python writes below `root`, and let one operation fail with `error`."""
    faults = Faults(root.resolve(), fails, error)
    real_open = io.open

    def open_(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not _WRITING & set(mode):
            return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        faults.attempt("open", file)
        raw = _File(file, mode.replace("t", "").replace("b", ""), closefd, opener, faults)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    def counted(name: str, which: int) -> Callable[..., Any]:
        real: Callable[..., Any] = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if name != "mkdir" or not os.path.lexists(args[which]):  # an existing folder is not a new one
                faults.attempt(name, args[which])
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", open_)
        patch.setattr(io, "open", open_)
        for name, which in _CALLS.items():
            patch.setattr(os, name, counted(name, which))
        yield faults
