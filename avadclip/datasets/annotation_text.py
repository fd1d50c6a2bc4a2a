"""The annotation files of XD-Violence and of data sets in its format: one line per video, a few words per segment.

Frames count from 0 and ranges are half-open, as the authors' own ground-truth arrays are built (``gt[start:end] = 1``);
some lines begin at frame 1, which changes nothing about that. Names may have a video extension or not.
"""

from pathlib import Path, PurePosixPath

from avadclip.datasets import csv_file, ids
from avadclip.datasets.csv_file import did_you_mean, shortened
from avadclip.datasets.label_codes import CLASS_OF_CODE
from avadclip.datasets.model import ANY_CLASS, Segment
from avadclip.errors import DatasetError

_MOST_DIGITS = 18  # of a frame number

Segments = dict[str, tuple[Segment, ...]]


def read_ids(path: Path) -> tuple[str, ...]:
    """A file with one video name in each line."""
    found: dict[str, None] = {}
    for number, line in lines(path):
        id_ = _id(line)
        if id_ in found:
            raise DatasetError(f"{path}, line {number}: {id_!r} appears twice")
        found[id_] = None
    return tuple(found)


def read_spans(path: Path) -> Segments:
    """Lines ``<name> <start> <end> <start> <end> ...``: id -> segments with the label ``*`` (of any class)."""
    return _read(path, words_per_segment=2)


def read_labelled_spans(path: Path) -> Segments:
    """Lines ``<name> <code> <start> <end> ...``: id -> segments labelled with the class that the code stands for."""
    return _read(path, words_per_segment=3)


def _read(path: Path, words_per_segment: int) -> Segments:
    found: Segments = {}
    for number, line in lines(path):
        where = f"{path}, line {number}"
        name, *words = line.split()
        id_ = _id(name)
        if id_ in found:
            raise DatasetError(f"{where}: {id_!r} appears twice")
        if not words or len(words) % words_per_segment:
            raise DatasetError(
                f"{where}: expected {words_per_segment} words for each segment, found {len(words)} words"
            )
        starts = range(0, len(words), words_per_segment)
        found[id_] = tuple(_segment(where, id_, words[at : at + words_per_segment], at + 2) for at in starts)
        if len(set(found[id_])) < len(found[id_]):
            raise DatasetError(f"{where}: a segment is written twice; it would count as two events, so remove one")
    return found


def _segment(where: str, id_: str, words: list[str], first_word: int) -> Segment:
    *code, start, end = words
    if code and code[0] not in CLASS_OF_CODE:
        hint = did_you_mean(code[0], CLASS_OF_CODE)
        raise DatasetError(f"{where}, word {first_word}: {code[0]!r} is not one of {', '.join(CLASS_OF_CODE)}{hint}")
    if not (_is_frame(start) and _is_frame(end) and int(start) < int(end)):
        word = first_word + len(code)
        found = f"{shortened(start)} {shortened(end)}"
        raise DatasetError(f"{where}, words {word} and {word + 1}: expected start frame < end frame, found {found}")
    return Segment(id_, CLASS_OF_CODE[code[0]] if code else ANY_CLASS, int(start), int(end))


def _is_frame(word: str) -> bool:
    return word.isdecimal() and len(word) <= _MOST_DIGITS


def _id(name: str) -> str:
    return ids.from_name(PurePosixPath(name).name)


def lines(path: Path) -> list[tuple[int, str]]:
    """Number and text of every line that is not empty; :class:`DatasetError` if there is none, or no file."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            numbered = [(number, line.strip()) for number, line in enumerate(csv_file.lines(path, file), start=1)]
    except FileNotFoundError:
        raise DatasetError(
            f"{path}: no such file; `annotations` in params.yaml must name the folder that holds it"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not readable as UTF-8 text: {error}") from None
    found = [(number, line) for number, line in numbered if line]
    if not found:
        raise DatasetError(f"{path}: the file is empty")
    return found
