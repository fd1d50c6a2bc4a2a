"""Predictions -> a folder with ``report.html``, to be opened from disk, without network and without a server."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from avadclip.errors import ReportError
from avadclip.evaluation.figures.palette import DETECTOR_COLORS, class_colors, preferred_first
from avadclip.io import copy, replacing
from avadclip.prediction.document import Prediction
from avadclip.prediction.results import OWN_NAMES, PAGE, PARTS
from avadclip.report import payload, tables
from avadclip.report.assembly import assemble, script_json
from avadclip.report.footage import safe_suffix


@dataclass(frozen=True)
class PageVideo:
    """One video of the page.

    Attributes
    ----------
    media : the video file; None: the page shows the curves without a player.
    sound : picture of its sound (PNG), if it has sound; see :mod:`avadclip.report.sound_strip`.
    """

    prediction: Prediction
    media: Path | None
    sound: bytes | None = None


@dataclass(frozen=True)
class ResultsTables:
    """Results on a test set, for the second tab.

    Attributes
    ----------
    markdown : what stage `evaluate` writes as ``summary.md``.
    figures : pictures (PNG, JPEG, WebP), in this order; the file stem is the title.
    """

    markdown: str
    figures: Sequence[Path]


def write_page(
    folder: Path,
    videos: Sequence[PageVideo],
    *,
    title: str,
    dataset: str = "",
    results: ResultsTables | None = None,
    copy_media: bool = True,
) -> None:
    """Write the page and everything that it shows into `folder`; the same input gives the same bytes.

    Writes ``report.html``, ``media/`` (copies of the videos), ``data/`` (curves and sound of each video, loaded when it
    is shown) and ``figures/``. Files are named by numbers in the order of the list, so that no file name can do harm.
    Files of an earlier page are deleted; others stay.

    Parameters
    ----------
    dataset : the data set of the videos, for corrections; empty: none.
    copy_media : False: videos are played from where they are, relative to `folder`, and need not exist now.

    Raises
    ------
    ReportError : a video file or figure is missing, or is where its own copy would be written.
    """
    ordered = sorted(videos, key=lambda video: (-video.prediction.alarm, video.prediction.id, video.prediction.path))
    media = [video.media for video in ordered if video.media is not None and copy_media]
    sources = [*media, *(results.figures if results else ())]
    _require(sources, folder)
    clear_page(folder)
    rows = [_write_video(folder, f"{number:04d}", video, copy_media) for number, video in enumerate(ordered, start=1)]
    results_html = None if results is None else _write_results(folder, results)
    _write_text(folder / PAGE, assemble(title, _index(title, dataset, rows, ordered), results_html))


def _require(sources: Sequence[Path], folder: Path) -> None:
    own = [(folder / part).resolve() for part in PARTS]
    for source in sources:
        if not source.is_file():
            raise ReportError(
                f"{source}: no such file, but the page should show it; pass media=None for a page without it"
            )
        if source.resolve().parent in own and source.resolve().match(OWN_NAMES):
            raise ReportError(f"{source}: is in the page's own folder and would be replaced; write to another folder")


def clear_page(folder: Path) -> None:
    """Remove a page and its parts; other files stay."""
    for part in PARTS:
        for file in sorted((folder / part).glob(OWN_NAMES)):
            file.unlink()
    (folder / PAGE).unlink(missing_ok=True)  # never written in place: DVC may have made it a link into its cache


def _write_video(folder: Path, number: str, video: PageVideo, copy_media: bool) -> dict[str, Any]:
    """Write the data of a video, and its copy; return its row in the list."""
    prediction = video.prediction
    data = folder / "data" / f"page-{number}.js"
    media = sound = None
    if video.media is not None and copy_media:
        media = f"media/page-{number}{safe_suffix(video.media)}"
        copy(video.media, folder / media)
    elif video.media is not None:
        media = quote(Path(os.path.relpath(video.media, folder)).as_posix())
    if video.sound is not None:
        sound = f"data/page-{number}.png"
        _write_bytes(folder / sound, video.sound)
    _write_text(data, f'avadclipPage.receive("{number}",{script_json(payload.curves(prediction))});\n')
    return {"number": number, **payload.facts(prediction), "media": media, "sound": sound}


def _index(title: str, dataset: str, rows: list[dict[str, Any]], videos: Sequence[PageVideo]) -> dict[str, Any]:
    """What the scripts have before any video is chosen. All videos have room for the most that any of them shows, so
    that nothing moves between videos."""
    predictions = [video.prediction for video in videos]
    curves = [curve for prediction in predictions for curve in prediction.curves]
    classes = dict.fromkeys(name for prediction in predictions for name in prediction.classes[1:])
    detectors = preferred_first(curve.detector for curve in curves)
    naming = {curve.detector for curve in curves if curve.class_probabilities is not None}
    uncertainties = [curve.uncertainty for curve in curves if curve.uncertainty is not None]
    return {
        "title": title,
        "dataset": dataset,
        "identity": _identity(predictions),
        "videos": rows,
        "classColors": {name: color for name, color in class_colors(["", *classes]).items() if name},
        "detectors": [
            {
                "name": name,
                "color": DETECTOR_COLORS[i % len(DETECTOR_COLORS)],
                "dashed": i >= len(DETECTOR_COLORS),
                "seesClasses": name in naming,
            }
            for i, name in enumerate(detectors)
        ],
        "isAnnotated": any(prediction.annotated is not None for prediction in predictions),
        "uncertaintyRange": [
            float(np.min([values.min() for values in uncertainties])),
            float(np.max([values.max() for values in uncertainties])),
        ]
        if uncertainties
        else None,
    }


def _identity(predictions: Sequence[Prediction]) -> str:
    """Hash of what people judge: other videos or other scores, as after another training, have another one."""
    digest = hashlib.sha256()
    for prediction in predictions:
        digest.update(f"{prediction.id}\n{prediction.content_hash}\n".encode(errors="replace"))
        digest.update(prediction.curves[0].anomaly.tobytes())
    return digest.hexdigest()[:16]


def _write_results(folder: Path, results: ResultsTables) -> str:
    """Copy the figures; return the markup of the tab."""
    figures = []
    for number, source in enumerate(results.figures, start=1):
        name = f"figures/page-{number:04d}{safe_suffix(source)}"
        width, height = _size(source)  # stated, so that the text does not move when the picture is loaded
        copy(source, folder / name)
        caption = escape(source.stem)
        shape = "broad" if width > 2 * height else "slim"
        figures.append(
            f'<figure class="{shape}">'
            f'<img src="{name}" width="{width}" height="{height}" loading="lazy" alt="{caption}">'
            f"<figcaption>{caption}</figcaption></figure>\n"
        )
    return tables.to_html(results.markdown) + f'<div class="figures">{"".join(figures)}</div>'


def _size(picture: Path) -> tuple[int, int]:
    try:
        with Image.open(picture) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ReportError(f"{picture}: not a picture that the page can show: {error}; draw it again") from None


def _write_text(path: Path, text: str) -> None:
    _write_bytes(path, text.encode("utf-8", errors="replace"))


def _write_bytes(path: Path, content: bytes) -> None:
    with replacing(
        path, flush=False
    ) as temporary:  # not flushed, because thousands of small files are quickly made again
        temporary.write_bytes(content)
