"""Files: written whole or not at all, known by their hash, and read only in a format that is known."""

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

_UNFINISHED = ".tmp"
_ABANDONED_SECONDS = 3600.0  # nothing that is still being written has not grown for so long
_BLOCK_BYTES = 1 << 20
_serial = count()
_swept: set[Path] = set()


@contextmanager
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """A temporary name in the folder of `path`, which replaces `path` if the block ends well and vanishes if not.

    Parameters
    ----------
    flush : put the content on the disk before the file gets its name, so that a power cut leaves the old file or the
        new one. False where a file is one of very many that are checked, and filled again, by the next run.
    """
    folder = path.parent
    if not folder.is_dir():  # asked first, because in a folder with very many files it nearly always is
        folder.mkdir(parents=True, exist_ok=True)
    if folder not in _swept:  # once
        _swept.add(folder)
        remove_abandoned(folder)
    # Not named after the file, whose name may be as long as names can be. Machines that share a folder have processes
    # of the same number, and a process has several threads.
    temporary = path.with_name(f".{socket.gethostname()}-{os.getpid()}-{next(_serial)}{_UNFINISHED}")
    try:
        with naming(path, instead_of=temporary):
            yield temporary
            if flush:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: Path, instead_of: Path | None = None) -> Iterator[None]:
    """An `OSError` in the block is one of `path`: writing and flushing know no names, and copying names its source.

    Parameters
    ----------
    instead_of : another name of the file, which nobody knows.
    """
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(instead_of)) or error.filename2 is not None:
            error.filename = str(path)
        raise


def is_unfinished(path: Path) -> bool:
    """Whether a file is one that :func:`replacing` has not finished, or that a killed process left behind."""
    return path.name.startswith(".") and path.suffix == _UNFINISHED


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder, where that is possible.

    A young file may be somebody's who is still writing, on another machine.
    """
    for path in filter(is_unfinished, folder.iterdir()):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Put a file in place, with its folders; what stood there is replaced at once or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def copy(source: Path, path: Path) -> None:
    """Put a copy of a file in place, as :func:`write_bytes` does; never a link, in which a write would change both."""
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)


def write_text(path: Path, text: str) -> None:
    """:func:`write_bytes` of a text in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def sha256_of(path: Path, on_block: Callable[[], None] = lambda: None) -> str:
    """sha256 of a file's content, 64 hexadecimal digits: the hash by which videos, weights and code are pinned.

    Parameters
    ----------
    on_block : called after each MiB.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            on_block()
    return digest.hexdigest()


def unknown_format(found: object, known: str, remedy: str) -> str:
    """What to say of a file whose format is not the one that is read.

    Parameters
    ----------
    found : what the file says; None where it says nothing.
    known : for example ``avadclip-features/1``.
    remedy : what to do unless a newer version has written the file, which nobody should have to write again.
    """
    (name, _, ours), (found_name, _, theirs) = known.rpartition("/"), str(found).rpartition("/")
    if found_name == name and theirs.isdecimal() and int(theirs) > int(ours):
        return f"format {found} is newer than this version understands ({known}): update avadclip"
    return f"expected format {known}, found {found}; {remedy}"
