"""Files: written whole or not at all, known by their hash, and read only in a format that is known."""

import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_UNFINISHED = ".tmp"
_BLOCK_BYTES = 1 << 20
_serial = count()


@contextmanager
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """A temporary name in the folder of `path`, which replaces `path` if the block ends well and vanishes if not.

    Parameters
    ----------
    flush : put the content on the disk before the file gets its name, so that a power cut leaves the old file or the
        new one. False where a file is one of very many that are checked, and filled again, by the next run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not named after the file, whose name may be as long as names can be. Machines that share a folder have processes
    # of the same number, and a process has several threads.
    temporary = path.with_name(f".{socket.gethostname()}-{os.getpid()}-{next(_serial)}{_UNFINISHED}")
    try:
        yield temporary
        if flush:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # Writing and flushing know no names, copying names its source, and nobody knows the temporary one.
        if error.filename in (None, str(temporary)) or error.filename2 is not None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def is_unfinished(path: Path) -> bool:
    """Whether a file is one that :func:`replacing` has not finished, or that a killed process left behind."""
    return path.name.startswith(".") and path.suffix == _UNFINISHED


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
