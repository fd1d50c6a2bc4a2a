"""README.md and docs/ as tests read them: sections, the commands in console blocks, links and anchors."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!`)!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


@dataclass
class Section:
    """A heading, and everything up to the next one."""

    title: str
    lines: list[str] = field(default_factory=list)  # without the lines of blocks
    blocks: list[tuple[str, str]] = field(default_factory=list)  # language, text


def names() -> list[str]:
    """List every page, as a path from the root of the project."""
    return ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def sections(page: str) -> tuple[Section, ...]:
    """Split a page into sections; headings inside blocks do not count."""
    found, block = [Section("")], None
    for line in text(page).splitlines():
        if fence := re.match(r"( *)```(.*)", line):  # a block in a list item is indented
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
    """Return the blocks of one language in a page, or in one of its sections."""
    chosen = [one for one in sections(page) if section in (None, one.title)]
    assert chosen, f"{page} has no section {section!r}"
    return [block for one in chosen for found, block in one.blocks if found == language]


def commands(page: str, section: str | None = None) -> list[str]:
    """Return the commands that a page, or one of its sections, shows after the prompt, without comments."""
    return [
        re.split(r"\s{2,}#", line[2:])[0].rstrip()
        for block in blocks(page, section)
        for line in re.sub(r" *\\\n *", " ", block).splitlines()
        if line[:2] == "$ "
    ]


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
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
    """Yield the targets of a page's links and images, as they are written."""
    for section in sections(page):
        for first, second in LINK.findall("\n".join(section.lines)):
            yield first or second


def resolve(page: str, link: str) -> tuple[str, str]:
    """Return the file, as a path from the root of the project, and the anchor of a relative link in a page."""
    file, _, anchor = link.partition("#")
    target = (ROOT / page).parent / file if file else ROOT / page
    return str(target.resolve().relative_to(ROOT)), anchor
