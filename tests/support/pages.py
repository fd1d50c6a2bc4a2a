"""README.md and docs/ as tests read them: sections, what console blocks tell people to type, links and anchors."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!`)!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


@dataclass
class Section:
    """What stands between two headings; the first section of a page has the page's title."""

    title: str
    lines: list[str] = field(default_factory=list)  # without those of blocks
    blocks: list[tuple[str, str]] = field(default_factory=list)  # language, text


def names() -> list[str]:
    """Every page, from the root of the project."""
    return ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def sections(page: str) -> tuple[Section, ...]:
    """The sections of a page; headings inside of blocks are none."""
    found, block = [Section("")], None
    for line in text(page).splitlines():
        if fence := re.match(r"( *)```(.*)", line):  # indented in an item of a list
            if block is None:
                block = (fence[2], len(fence[1]), [])
            else:
                found[-1].blocks.append((block[0], "\n".join(block[2])))
                block = None
        elif block is not None:
            block[2].append(line[block[1] :])
        elif heading := re.match(r"#+ (.+)", line):
            found.append(Section(heading[1]))
        else:
            found[-1].lines.append(line)
    return tuple(found)


def blocks(page: str, section: str | None = None, language: str = "console") -> list[str]:
    """The blocks of one language in a page, or in one of its sections."""
    chosen = [one for one in sections(page) if section in (None, one.title)]
    assert chosen, f"{page} has no section {section!r}"
    return [block for one in chosen for found, block in one.blocks if found == language]


def commands(page: str, section: str | None = None) -> list[str]:
    """What a page, or one of its sections, tells people to type after the prompt, without comments."""
    return [
        re.split(r"\s{2,}#", line[2:])[0].rstrip()
        for block in blocks(page, section)
        for line in re.sub(r" *\\\n *", " ", block).splitlines()
        if line[:2] == "$ "
    ]


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for section in sections(page):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", section.title).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        n, anchor = 0, slug
        while anchor in found:
            n, anchor = n + 1, f"{slug}-{n + 1}"
        found.add(anchor)
    return found


def links(page: str) -> Iterator[str]:
    """Where a page's links and images lead, as they are written."""
    for section in sections(page):
        for first, second in LINK.findall("\n".join(section.lines)):
            yield first or second


def resolve(page: str, link: str) -> tuple[str, str]:
    """The file, from the root of the project, and the anchor that a relative link of a page leads to."""
    file, _, anchor = link.partition("#")
    target = (ROOT / page).parent / file if file else ROOT / page
    return str(target.resolve().relative_to(ROOT)), anchor
