"""Stage ``extract_audio``: the sound of the videos of a manifest -> ``features/<dataset>/audio/<id>.h5``."""

from avadclip import config, scripting
from avadclip.extraction.run import extract


def main(dataset: str) -> None:
    """Decode and encode what is not in the work cache yet."""
    extract(dataset, "audio", config.load())


if __name__ == "__main__":
    scripting.run(main)
