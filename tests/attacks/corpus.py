"""Files that the fuzzer has kept, ``corpus/<reader>/<hash>``: finds, and a few that reach lines of their own."""

import hashlib
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from tests.attacks.readers import READERS, survives

CORPUS = Path(__file__).with_name("corpus")
MOST_BYTES = 8 << 10  # a reader, beside the finds
CODE = str(Path(__file__).parents[2] / "avadclip")


def keep(name: str, content: bytes) -> Path:
    """Write a file to the corpus of a reader."""
    path = CORPUS / name / hashlib.sha256(content).hexdigest()[:8]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def reached(name: str, content: bytes, folder: Path) -> set[tuple[str, int]]:
    """File and line of all our code that reading this file runs in this thread."""
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(CODE):
            return None
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        survives(READERS[name], content, folder)
    finally:
        sys.settrace(before)
    return lines


def add_what_reaches_more(name: str, inputs: Path) -> None:
    """Keep those inputs, the short ones first, that reach lines which neither the whole file nor the corpus reaches."""
    known = sorted((CORPUS / name).glob("*"))
    left = MOST_BYTES - sum(path.stat().st_size for path in known)
    with tempfile.TemporaryDirectory() as folder:
        contents = [READERS[name].whole(), *(path.read_bytes() for path in known)]
        lines = set().union(*(reached(name, content, Path(folder)) for content in contents))
        for path in sorted(inputs.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
            content = path.read_bytes()
            if len(content) <= left and (more := reached(name, content, Path(folder)) - lines):
                lines |= more
                left -= len(content)
                keep(name, content)
