"""Random changes to intact files."""

import io
import zipfile
from collections.abc import Callable

import numpy as np

EXTREMES = (
    *(b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80" * 8),
    *(b"9" * 20, b"-1", b"../", b"[[[[", b"NaN"),
)


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """A file with a few random changes."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 5)):
        place = int(random.integers(0, max(len(changed), 1)))
        length = int(random.integers(1, 9))
        match int(random.integers(0, 6)):
            case 0 if changed:
                changed[min(place, len(changed) - 1)] ^= 1 << int(random.integers(0, 8))
            case 1:
                changed[place : place + length] = random.bytes(length)
            case 2:
                piece = EXTREMES[random.integers(0, len(EXTREMES))]
                changed[place : place + len(piece)] = piece
            case 3:
                del changed[place : place + int(random.integers(1, 200))]
            case 4:
                changed[place:place] = changed[place : place + int(random.integers(1, 200))]
            case _:
                del changed[max(place, 16) :]
    return bytes(changed)


def changed_inside(content: bytes, random: np.random.Generator, change: Callable[[bytes], bytes]) -> bytes:
    """Change one file inside an archive, so that its checksums stay valid; change any other content directly."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        name = list(files)[random.integers(0, len(files))]
    except Exception:  # not an archive, or a damaged one
        return change(content)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for other, text in files.items():
            archive.writestr(zipfile.ZipInfo(other), change(text) if other == name else text)
    return packed.getvalue()
