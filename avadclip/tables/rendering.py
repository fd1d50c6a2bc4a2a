"""A table as text, Markdown, LaTeX or CSV."""

import csv
import io
import re
from collections.abc import Callable, Sequence

from avadclip.errors import printable
from avadclip.tables.sheets import Cell, Sheet

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\N{REPLACEMENT CHARACTER}": "?",  # not known to pdfLaTeX
}


def text(sheet: Sheet) -> str:
    """For a terminal, with aligned columns."""
    signs = {"": "", "best": " *", "second": " +"}
    rows = [[label, *(_said(cell) + signs[cell.mark] for cell in cells)] for label, cells in sheet.rows]
    lines = [["", *sheet.header], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    body = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    legend = ["", "* best, + second of a column; strict protocol, in percent, ± over seeds, [interval] over videos"]
    return "\n".join(printable(line) for line in [_title(sheet), *body, *legend, *sheet.lines]) + "\n"


def markdown(sheet: Sheet) -> str:
    """In Markdown: the best in bold, the second underlined."""
    marks = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}
    rows = [[_plain(label), *(marks[cell.mark].format(_said(cell)) for cell in cells)] for label, cells in sheet.rows]
    lines = [["", *sheet.header], ["---", *["---:"] * len(sheet.header)], *rows]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    below = "".join(f"- {_plain(line)}\n" for line in sheet.lines)
    return f"**{_plain(_title(sheet))}**, strict protocol, in percent\n\n{body}\n{below}"


def latex(sheet: Sheet) -> str:
    """In LaTeX, without packages: the best in bold, the second underlined."""
    marks: dict[str, Callable[[str], str]] = {
        "": str,
        "best": lambda said: rf"\textbf{{{said}}}",
        "second": lambda said: rf"\underline{{{said}}}",
    }
    rows = [[_tex(label), *(marks[cell.mark](_tex(_said(cell))) for cell in cells)] for label, cells in sheet.rows]
    header = ["", *map(_tex, sheet.header)]
    body = [r"\hline", _tex_row(header), r"\hline", *map(_tex_row, rows), r"\hline"]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_tex(_title(sheet))}}}",
            rf"\begin{{tabular}}{{l{'r' * len(sheet.header)}}}",
            *body,
            r"\end{tabular}",
            *(rf"\par{{\footnotesize {_tex(line)}}}" for line in sheet.lines),
            r"\end{table}",
            "",
        ]
    )


def comma_separated(sheet: Sheet) -> str:
    """As CSV: one line per cell, then one per line below the table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "dataset", "row", "column", "value", "deviation", "low", "high", "word"])
    for label, cells in sheet.rows:
        for column, cell in zip(sheet.header, cells, strict=True):
            numbers = (cell.value, cell.deviation, *(cell.interval or (None, None)))
            writer.writerow([sheet.number, sheet.dataset, label, column, *numbers, cell.word])
    writer.writerows([sheet.number, sheet.dataset, "", "", "", "", "", "", line] for line in sheet.lines)
    return out.getvalue()


# Format -> the function that writes it; and the suffix of its files.
FORMATS: dict[str, Callable[[Sheet], str]] = {
    "text": text,
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}
ENDINGS = {"text": "txt", "markdown": "md", "latex": "tex", "csv": "csv"}


def _title(sheet: Sheet) -> str:
    return f"Table {sheet.number}. {sheet.title}; {sheet.dataset}"


def _said(cell: Cell) -> str:
    """``84.51 ± 0.30 [82.1, 86.9]``, or the word in place of a number."""
    if cell.value is None:
        return cell.word
    said = f"{cell.value:.2f}"
    said += "" if cell.deviation is None else f" ± {cell.deviation:.2f}"
    said += "" if cell.interval is None else f" [{cell.interval[0]:.1f}, {cell.interval[1]:.1f}]"
    return said + (f" ({cell.word})" if cell.word else "")


def _plain(line: str) -> str:
    """Any text in Markdown: without markup except code, without HTML, within its table cell."""
    parts = re.split("(`[^`]*`)", printable(line))
    parts[::2] = [re.sub(r"([\\*\[\]<>|&_])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    return " ".join("".join(parts).split())


def _tex(line: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(line).replace("`", "'"))


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
