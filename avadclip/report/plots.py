"""The tables behind ``dvc plots`` as pictures for the page."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avadclip.evaluation.figures.drawing import DETECTOR_COLORS, FAINT, STYLE, save
from avadclip.evaluation.testset import RANDOM

SIZE_INCHES = (4.6, 3.6)


def draw_plots(tables: Path, folder: Path) -> list[Path]:
    """Draw what stage ``evaluate`` wrote into ``plots/``; returns the pictures, which are named as they are titled.

    Parameters
    ----------
    tables : folder of the CSV files.
    folder : where the pictures go.
    """
    drawn = []
    for name, (title, draw) in PLOTS.items():
        table = pd.read_csv(tables / f"{name}.csv")
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=SIZE_INCHES, layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            draw(axes, table)
            axes.legend(fontsize=7, frameon=False)
        drawn.append(folder / f"{title}.png")
        save(figure, drawn[-1])
    return drawn


def _lines(x: str, y: str) -> Callable[[Axes, pd.DataFrame], None]:
    def draw(axes: Axes, table: pd.DataFrame) -> None:
        for (detector, rows), color in zip(table.groupby("detector", sort=False), _colors(table), strict=True):
            axes.plot(rows[x], rows[y], color=color, linewidth=1.5, label=detector)
        axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "), xlim=(0, 1), ylim=(0, 1.02))

    return draw


def _localisation(axes: Axes, table: pd.DataFrame) -> None:
    strict = table[table["protocol"] == "strict"]
    for (detector, rows), color in zip(strict.groupby("detector", sort=False), _colors(strict), strict=True):
        axes.plot(rows["iou"], rows["mAP"], marker="o", color=color, linewidth=1.5, label=detector)
    axes.set(xlabel="IoU", ylabel="mAP, strict, %", ylim=(0, None))


def _classes(axes: Axes, table: pd.DataFrame) -> None:
    wide = table.pivot_table(index="class", columns="detector", values="AP", sort=False)
    width = 0.8 / len(wide.columns)
    for k, (detector, color) in enumerate(zip(wide.columns, _colors(table), strict=True)):
        axes.bar(np.arange(len(wide)) + k * width, wide[detector], width, color=color, label=detector)
    axes.set_xticks(np.arange(len(wide)) + 0.4 - width / 2, list(wide.index), rotation=30, ha="right")
    axes.set(ylabel="AP of each class, %")


def _colors(table: pd.DataFrame) -> list[str]:
    """One a detector, in the order of the table; who guesses is grey."""
    names = list(dict.fromkeys(table["detector"]))
    palette = iter(DETECTOR_COLORS * (1 + len(names) // len(DETECTOR_COLORS)))
    return [FAINT if name == RANDOM else next(palette) for name in names]


PLOTS: dict[str, tuple[str, Callable[[Axes, pd.DataFrame], None]]] = {
    "precision_recall": ("Precision over recall", _lines("recall", "precision")),
    "roc": ("ROC", _lines("false_positive_rate", "true_positive_rate")),
    "map_over_iou": ("mAP over IoU", _localisation),
    "per_class": ("Frame-level AP of each class", _classes),
    "reliability": ("Reliability of the scores", _lines("score", "anomalous_share")),
}
