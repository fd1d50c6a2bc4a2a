"""``python -m tests.docs``: rewrite the README's table of detectors from docs/zoo.md."""

from avadclip.io import write_text
from tests.docs.zoo_table import BLOCK, zoo_table
from tests.support import pages

if __name__ == "__main__":
    write_text(
        pages.ROOT / "README.md",
        BLOCK.sub(lambda found: f"{found[1]}\n{zoo_table()}\n{found[3]}", pages.text("README.md")),
    )
