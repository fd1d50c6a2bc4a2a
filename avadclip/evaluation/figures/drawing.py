"""One picture per video: scores over time, the annotation, and the most probable class by each detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from avadclip.evaluation.figures.palette import (
    DETECTOR_COLORS,
    EVENT_COLOR,
    FAINT,
    INK,
    NORMAL_COLOR,
    class_colors,
)
from avadclip.evaluation.timeline import Timeline
from avadclip.io import replacing

STYLE = mpl.RcParams(
    {
        "font.family": "DejaVu Sans",  # ships with matplotlib, so that pictures are the same everywhere
        "font.size": 9,
        "axes.edgecolor": FAINT,
        "axes.linewidth": 0.6,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "svg.hashsalt": "avadclip",  # the same picture has the same bytes
    }
)
WIDTH_INCHES, BAND_INCHES = 8.6, 0.17


@dataclass(frozen=True)
class Curve:
    """Scores of one detector for one video, snippet by snippet.

    Attributes
    ----------
    detector : its name.
    edge_seconds : float64 [n + 1], where snippets begin and the last one ends.
    score : float64 [n], 0..1.
    seen_class : int [n], index of the most probable class, 0 is `normal`; None for a detector without classes.
    """

    detector: str
    edge_seconds: NDArray[np.float64]
    score: NDArray[np.float64]
    seen_class: NDArray[np.intp] | None


@dataclass(frozen=True)
class Picture:
    """Everything that is drawn for one video; events and segments are (start, end) in seconds."""

    title: str
    subtitle: str
    seconds: float
    classes: tuple[str, ...]
    curves: tuple[Curve, ...]
    events: tuple[tuple[float, float], ...]
    segments: Mapping[str, Sequence[tuple[float, float]]]
    alarm_threshold: float
    is_located: bool = True  # False: it is anomalous, but not annotated in time


def compose(
    views: Mapping[str, Timeline],
    scores: Mapping[str, NDArray[np.float64]],
    video: int,
    reason: str,
    alarm_threshold: float,
) -> Picture:
    """Take one video from the scores [snippets] of several detectors."""
    first = next(iter(views.values()))
    facts = first.videos[video]
    curves = []
    for name, view in views.items():
        own = slice(view.first_snippet[video], view.first_snippet[video + 1])
        edges = np.append(view.start_frame[own], facts.n_frames) / facts.frame_rate
        seen = view.probabilities[own].argmax(axis=1) if view.classes else None
        curves.append(Curve(name, edges, scores[name][own], seen))
    sound = "with sound" if facts.has_audio else "without sound"
    return Picture(
        title=facts.id,
        subtitle=" · ".join(text for text in (", ".join(facts.labels), sound, reason) if text),
        seconds=facts.n_frames / facts.frame_rate,
        classes=next((view.classes for view in views.values() if view.classes), ("normal", *first.segments)),
        curves=tuple(curves),
        events=_seconds(first.anomalous.of(video), facts.frame_rate),
        segments={name: _seconds(spans.of(video), facts.frame_rate) for name, spans in first.segments.items()},
        alarm_threshold=alarm_threshold,
        is_located=bool(first.is_located[video]),
    )


def draw(picture: Picture) -> Figure:
    """Scores above, bands of classes below: the annotation first, then one for each detector that names classes."""
    with mpl.rc_context(STYLE):
        banded = [curve for curve in picture.curves if curve.seen_class is not None]
        annotated = [name for name, spans in picture.segments.items() if spans]
        n_bands = max(len(annotated), 1) + len(banded)
        heights = [1.9, n_bands * BAND_INCHES]
        figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 1.55))
        FigureCanvasAgg(figure)
        total = figure.get_figheight()
        left = _left_margin([curve.detector for curve in banded] + [_annotated(name) for name in annotated])
        grid = figure.add_gridspec(
            2, 1, height_ratios=heights, hspace=0.1, left=left, right=0.965, top=1 - 0.78 / total, bottom=0.72 / total
        )
        above = figure.add_subplot(grid[0])
        below = figure.add_subplot(grid[1], sharex=above)
        _draw_scores(above, picture)
        _draw_bands(below, picture, banded, annotated)
        figure.text(left, 1 - 0.22 / total, _shorten(picture.title), fontsize=10, fontweight="bold", va="center")
        figure.text(left, 1 - 0.42 / total, picture.subtitle, fontsize=8.5, color=FAINT, va="center")
        return figure


def save(figure: Figure, path: Path) -> None:
    """Write PNG or SVG, by the suffix; the same figure gives the same bytes."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with mpl.rc_context(STYLE), replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=160, metadata=metadata)


def _draw_scores(axes: Axes, picture: Picture) -> None:
    for start, end in picture.events:
        axes.axvspan(start, end, color=EVENT_COLOR, alpha=0.75, linewidth=0)
    alarm = axes.axhline(picture.alarm_threshold, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    for curve, color in reversed(list(zip(picture.curves, DETECTOR_COLORS, strict=False))):
        axes.stairs(curve.score, curve.edge_seconds, color=color, linewidth=1.5, baseline=None, label=curve.detector)
    axes.set_xlim(0, picture.seconds)
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("anomaly score")
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    handles, labels = [*handles[::-1], alarm], [*labels[::-1], "alarm threshold"]
    if picture.events:
        handles.append(Patch(color=EVENT_COLOR))
        labels.append("annotated")
    axes.legend(
        handles,
        labels,
        loc="lower right",
        bbox_to_anchor=(1, 0.99),
        ncols=6,
        frameon=False,
        fontsize=8,
        handlelength=1.4,
        columnspacing=1.2,
        borderaxespad=0.1,
    )


def _draw_bands(axes: Axes, picture: Picture, banded: Sequence[Curve], annotated: Sequence[str]) -> None:
    colors = class_colors(picture.classes)
    rows = [_annotated(name) for name in annotated] or ["annotated" if picture.is_located else "not annotated"]
    for row, name in enumerate(annotated):
        axes.broken_barh([(0, picture.seconds)], (row + 0.1, 0.8), color=NORMAL_COLOR, linewidth=0)
        spans = [(start, end - start) for start, end in picture.segments[name]]
        axes.broken_barh(spans, (row + 0.1, 0.8), color=colors[name], linewidth=0)
    if not annotated and picture.is_located:
        axes.broken_barh([(0, picture.seconds)], (0.1, 0.8), color=NORMAL_COLOR, linewidth=0)
    shown = set(annotated)
    for row, curve in enumerate(banded, start=len(rows)):
        assert curve.seen_class is not None
        names = [picture.classes[index] for index in curve.seen_class]
        spans = list(zip(curve.edge_seconds[:-1], np.diff(curve.edge_seconds), strict=True))
        axes.broken_barh(
            spans, (row + 0.1, 0.8), color=[colors[name] for name in names], linewidth=0, antialiased=False
        )
        shown.update(names)
    rows += [curve.detector for curve in banded]
    axes.set_ylim(len(rows), 0)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=7.5)
    line_colors = dict(zip((curve.detector for curve in picture.curves), DETECTOR_COLORS, strict=False))
    for label in axes.get_yticklabels():
        label.set_color(line_colors.get(label.get_text(), INK))
    axes.tick_params(axis="y", left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 1.5, 2, 3, 5, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(_clock))
    axes.set_xlabel("time (min:s)", fontsize=8.5, labelpad=2)
    handles = [Patch(color=colors[name], label=name) for name in picture.classes if name in shown]
    axes.figure.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(0.965, 0.0),
        ncols=8,
        frameon=False,
        fontsize=8,
        handlelength=1.0,
        handleheight=0.9,
        columnspacing=1.2,
    )


def _annotated(class_name: str) -> str:
    return f"{class_name}, annotated"


def _left_margin(band_labels: Sequence[str]) -> float:
    """Share of the width that the labels of the bands need; one of their letters is about 0.06 inches wide."""
    longest = max(map(len, band_labels), default=0)
    return max(1.16, 0.22 + 0.06 * longest) / WIDTH_INCHES


def _seconds(spans: Sequence[tuple[int, int]], frame_rate: float) -> tuple[tuple[float, float], ...]:
    return tuple((start / frame_rate, end / frame_rate) for start, end in spans)


def _clock(seconds: float, _position: int | None = None) -> str:
    fraction = f"{seconds % 1:.1f}"[1:] if seconds % 1 else ""
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}{fraction}"


def _shorten(title: str, longest: int = 90) -> str:
    return title if len(title) <= longest else f"{title[: longest // 2]}…{title[-longest // 2 :]}"
