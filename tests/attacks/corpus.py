"""The files in ``corpus/<reader>/<hash>``: those that broke a reader, and a few that alone reach some lines."""

import hashlib
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from tests.attacks.readers import READERS, survives

CORPUS = Path(__file__).with_name("corpus")
MOST_BYTES = 8 << 10  # for each reader; only finds may go beyond it
CODE = str(Path(__file__).parents[2] / "avadclip")


def keep(name: str, content: bytes) -> Path:
    """Write a file to the corpus of a reader."""
    path = CORPUS / name / hashlib.sha256(content).hexdigest()[:8]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def reached(name: str, content: bytes, folder: Path) -> set[tuple[str, int]]:
    """Return the file and line of all our code that runs in this thread while this content is read."""
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
    """Keep the inputs that reach lines which neither the intact file nor the corpus reaches, the shortest first."""
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
