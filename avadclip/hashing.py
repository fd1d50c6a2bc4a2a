"""The hash by which videos, weights and architectures are pinned."""

import hashlib
from collections.abc import Callable
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def sha256_of(path: Path, on_block: Callable[[], None] = lambda: None) -> str:
    """sha256 of a file's content, 64 hexadecimal digits; `on_block` is called after each MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            on_block()
    return digest.hexdigest()
