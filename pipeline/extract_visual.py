"""Stage ``extract_visual``: the videos of a manifest -> ``features/<dataset>/visual/<id>.h5``."""

from avadclip import config, scripting
from avadclip.extraction.run import extract


def main(dataset: str) -> None:
    """Decode and encode what is not in the work cache yet."""
    extract(dataset, "visual", config.load())


if __name__ == "__main__":
    scripting.run(main)
