"""Files: written whole or not at all, identified by their hash, and read only in a known format."""

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
_ABANDONED_SECONDS = 3600.0  # a file that is still being written grows more often than that
_BLOCK_BYTES = 1 << 20
_serial = count()
_swept: set[Path] = set()


@contextmanager
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """A temporary file in the folder of `path`; it replaces `path` if the block succeeds and is removed if not.

    Parameters
    ----------
    flush : flush the content to the disk before the file gets its name, so that a power cut leaves the old file or the
        new one. False for one of very many files that the next run checks, and writes again if needed.
    """
    folder = path.parent
    if not folder.is_dir():  # checked first, because it nearly always exists if a folder has very many files
        folder.mkdir(parents=True, exist_ok=True)
    if folder not in _swept:  # only once
        _swept.add(folder)
        remove_abandoned(folder)
    # Not named after the file, whose name may already have the greatest length. Machines that share a folder may have
    # processes with the same number, and a process may have several threads.
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
    """Put `path` into an `OSError` of the block: writing and flushing name no file, and copying names its source.

    Parameters
    ----------
    instead_of : a temporary name of the file, which means nothing to users.
    """
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(instead_of)) or error.filename2 is not None:
            error.filename = str(path)
        raise


def is_unfinished(path: Path) -> bool:
    """Whether a file is one that :func:`replacing` is writing, or that a killed process left unfinished."""
    return path.name.startswith(".") and path.suffix == _UNFINISHED


def remove_abandoned(folder: Path) -> None:
    """Remove the files that killed processes left unfinished in a folder, if they can be removed.

    Recent files are kept, because a process on another machine may still be writing them.
    """
    for path in filter(is_unfinished, folder.iterdir()):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file and make its folders; an existing file is replaced atomically or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def copy(source: Path, path: Path) -> None:
    """Copy a file, as safely as :func:`write_bytes`; never as a link, because a later write would change both files."""
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
    """The message about a file whose format is not the known one.

    Parameters
    ----------
    found : the format that the file states; None if it states none.
    known : for example ``avadclip-features/1``.
    remedy : what to do, unless a newer version has written the file; then the advice is to update.
    """
    (name, _, ours), (found_name, _, theirs) = known.rpartition("/"), str(found).rpartition("/")
    if found_name == name and theirs.isdecimal() and int(theirs) > int(ours):
        return f"format {found} is newer than this version understands ({known}): update avadclip"
    return f"expected format {known}, found {found}; {remedy}"
