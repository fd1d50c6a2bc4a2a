"""The column `labels` of a table that people write: names of classes, several joined by ``|``."""

from collections.abc import Iterable

from avadclip.datasets import csv_file, ids
from avadclip.datasets.csv_file import Row
from avadclip.datasets.model import NORMAL

_SEPARATOR = "|"


def split_labels(cell: str) -> tuple[str, ...]:
    """The names in a cell, in the Unicode form NFC, which the classes of params.yaml have as well."""
    return tuple(ids.composed(label.strip()) for label in cell.split(_SEPARATOR))


def labels_in(rows: Iterable[Row]) -> set[str]:
    """All names in a table; empty ones are left out.

    Raises
    ------
    DatasetError : one line for each row with a name that differs from an earlier one, or from ``normal``, in case only.
    """
    spelt = {ids.collision_key(NORMAL): NORMAL}  # how each name was written first

    def parse(row: Row) -> set[str]:
        names = {name for name in split_labels(row.cells["labels"]) if name}
        for name in sorted(names):
            first = spelt.setdefault(ids.collision_key(name), name)
            if name != first:
                row.fail("labels", f"{name!r} differs only in case from the label {first!r}; write `{first}`")
        return names

    return {name for names in csv_file.parse_all(rows, parse) for name in names}
