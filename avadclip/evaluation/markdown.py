"""Names and tables in Markdown."""

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"([\\`*\[\]<>|&])")


def plain(text: str) -> str:
    """Any name in Markdown, on one line: without markup or HTML, and within its table cell."""
    return " ".join(_SPECIAL.sub(r"\\\1", text).split())


def code(name: str) -> str:
    """A name as code, if that is possible."""
    return f"`{name}`" if name.isprintable() and "`" not in name else plain(name)


def table(title: str, explained: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A section with one table, whose first column has names and the others numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"## {title}\n\n{explained}\n\n{body}"
