"""Predictions -> a folder with what the page shows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avadclip.files import write_text
from avadclip.prediction.document import Prediction


@dataclass(frozen=True)
class PageVideo:
    """One video of the page.

    Attributes
    ----------
    media : its file; None: the page shows its curves without a player.
    """

    prediction: Prediction
    media: Path | None


@dataclass(frozen=True)
class ResultsTables:
    """Results on a test set.

    Attributes
    ----------
    markdown : what stage `evaluate` writes as ``summary.md``.
    figures : pictures.
    """

    markdown: str
    figures: Sequence[Path]


def write_page(folder: Path, videos: Sequence[PageVideo], *, title: str, results: ResultsTables | None = None) -> None:
    """Write everything that the page shows into `folder`."""
    content = {
        "title": title,
        "videos": [
            {**video.prediction.to_json(), "media": None if video.media is None else str(video.media)}
            for video in videos
        ],
        "results": None if results is None else results.markdown,
    }
    write_text(folder / "page.json", json.dumps(content) + "\n")
