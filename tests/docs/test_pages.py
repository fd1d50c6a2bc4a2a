"""README.md and docs/: their length, where their links lead, what is found within two clicks, what they repeat."""

from functools import cache

import pytest

from tests.docs.zoo_table import BLOCK, zoo_table
from tests.support import pages

# What newcomers ask, and where the answer is.
ANSWERS = {
    "own videos": "docs/your-videos.md",
    "threshold": "docs/evaluate.md#change-a-threshold",
    "GPU": "docs/extraction.md#cpu-and-gpu",
    "sharing": "docs/team.md",
    "released features": "docs/released.md",
    "no sound": "docs/evaluate.md#videos-without-sound",
    "bad file": "docs/extraction.md#when-files-are-bad",
    "cite": "README.md#cite",
    "cluster": "docs/cluster.md",
    "add a detector": "docs/detectors.md",
}


@pytest.mark.parametrize("page", pages.names())
def test_no_page_is_too_long(page: str) -> None:
    assert len(pages.text(page).splitlines()) <= (250 if page == "README.md" else 200)


@pytest.mark.parametrize("page", pages.names())
def test_links_lead_somewhere(page: str) -> None:
    for link in pages.links(page):
        if link.startswith(("https://", "http://")):
            continue
        file, anchor = pages.resolve(page, link)
        assert (pages.ROOT / file).exists(), f"{page}: {link}: no such file"
        if anchor:
            assert anchor in pages.anchors(file), f"{page}: {link}: no such heading in {file}"


@cache
def clicks() -> dict[str, int]:
    """How many clicks it takes from the README to each page, and to each heading that a link leads to."""
    distance = {"README.md": 0}
    queue = ["README.md"]
    for page in queue:
        for link in pages.links(page):
            if link.startswith("http"):
                continue
            file, anchor = pages.resolve(page, link)
            distance.setdefault(f"{file}#{anchor}", distance[page] + 1)
            if file not in distance:
                distance[file] = distance[page] + 1
                if file.endswith(".md"):
                    queue.append(file)
    return distance


@pytest.mark.parametrize("question", ANSWERS)
def test_a_question_is_answered_within_two_clicks(question: str) -> None:
    assert clicks()[ANSWERS[question]] <= 2


def test_every_page_is_one_click_away() -> None:
    assert {page for page in pages.names() if clicks().get(page, 9) > 1} == set()


def test_the_three_commands_are_those_of_the_page_about_them() -> None:
    assert pages.commands("README.md", "Yours in three commands") == pages.commands("docs/your-videos.md")


def test_the_table_of_detectors_is_made_from_the_zoo() -> None:
    found = BLOCK.search(pages.text("README.md"))
    assert found is not None
    assert found[2] == zoo_table(), "run `python -m tests.docs`"
