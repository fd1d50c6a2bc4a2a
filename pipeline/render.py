"""Stage ``render``: a seed -> the videos and annotations of a demo world."""

from avadclip import config, paths, scripting
from avadclip.demo.render import render_world


def main(dataset: str) -> None:
    """Render one world of section `worlds`."""
    render_world(config.load().world(dataset), paths.data(dataset))


if __name__ == "__main__":
    scripting.run(main)
