"""The README's table of detectors, made from the tables of docs/zoo.md."""

import re

from tests.support import pages

BLOCK = re.compile(r"(<!-- zoo: begin [^\n]*-->)\n(.*?)\n?(<!-- zoo: end -->)", re.DOTALL)
STANDS_FOR = {"mil_head": "ensemble"}  # a kind without a measured variant of the same name


def zoo_table() -> str:
    """Return a row for each system of the zoo, with the AP and AUC of the variant named like its kind."""
    measured = {re.findall(r"`(\w+)`", row["variant"])[0]: row for row in table("On the demo world")}
    lines = [
        "| system | takes | names classes | AP, AUC on the demo world |",
        "| --- | --- | --- | --- |",
    ]
    for row in table("The zoo"):
        kinds = re.findall(r"`(\w+)`", row["`kind`"])
        variant = next((v for kind in kinds if (v := STANDS_FOR.get(kind, kind)) in measured), "")
        found = measured.get(variant)
        numbers = f"`{variant}`: {found['AP']}, {found['AUC']}" if found and found["AP"] else "not measured yet"
        system = re.sub(r"\]\((?!https?:)", "](docs/", row["system"])
        lines.append(f"| {system} | {row['looks at']} | {row['says which class']} | {numbers} |")
    return "\n".join(lines)


def table(section: str) -> list[dict[str, str]]:
    """Return the rows of the first table in a section of docs/zoo.md, with cells by column name."""
    (found,) = [one for one in pages.sections("docs/zoo.md") if one.title == section]
    start = next(number for number, line in enumerate(found.lines) if line.startswith("|"))
    rows = []
    for line in found.lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    header, _, *body = rows
    return [dict(zip(header, row, strict=True)) for row in body]
