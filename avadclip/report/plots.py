"""The tables behind ``dvc plots`` as pictures for the page."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avadclip.evaluation.figures.drawing import STYLE, save
from avadclip.evaluation.figures.palette import DETECTOR_COLORS, FAINT, preferred_first
from avadclip.evaluation.files import read_table
from avadclip.evaluation.testset import RANDOM
from avadclip.evaluation.trade_off import CAUGHT, PER_HOUR

SIZE_INCHES = (4.6, 3.6)
ENDS = ("_low", "_high")  # of intervals, which not all values have


def draw_plots(tables: Path, folder: Path) -> list[Path]:
    """Draw what stage ``evaluate`` wrote into ``plots/``; return the pictures, whose names are their titles.

    A table without numbers has no picture: without anomalous videos there is no recall, for example.

    Parameters
    ----------
    tables : folder of the CSV files.
    folder : where the pictures are written.
    """
    drawn = []
    for name, (title, draw) in PLOTS.items():
        table = read_table(tables / f"{name}.csv")
        if "protocol" in table:
            table = table[table["protocol"] == "strict"]
        if table[[column for column in table.columns if not str(column).endswith(ENDS)]].dropna().empty:
            continue
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=SIZE_INCHES, layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            draw(axes, table)
            figure.legend(loc="outside upper center", ncols=3, fontsize=7, frameon=False)
        drawn.append(folder / f"{title}.png")
        save(figure, drawn[-1])
    return drawn


def _lines(x: str, y: str) -> Callable[[Axes, pd.DataFrame], None]:
    def draw(axes: Axes, table: pd.DataFrame) -> None:
        for detector, color in _colors(table).items():
            rows = table[table["detector"] == detector]
            axes.plot(rows[x], rows[y], color=color, linewidth=1.5, label=detector)
        axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "), xlim=(0, 1), ylim=(0, 1.02))

    return draw


def _localisation(axes: Axes, table: pd.DataFrame) -> None:
    for detector, color in _colors(table).items():
        rows = table[table["detector"] == detector]
        axes.plot(rows["iou"], rows["mAP"], marker="o", color=color, linewidth=1.5, label=detector)
    axes.set(xlabel="IoU", ylabel="mAP, strict, %", ylim=(0, None))


def _classes(axes: Axes, table: pd.DataFrame) -> None:
    colors = _colors(table)
    wide = table.pivot_table(index="class", columns="detector", values="AP", sort=False)
    width = 0.8 / len(colors)
    for k, (detector, color) in enumerate(colors.items()):
        axes.bar(np.arange(len(wide)) + k * width, wide[detector], width, color=color, label=detector)
    axes.set_xticks(np.arange(len(wide)) + 0.4 - width / 2, list(wide.index), rotation=30, ha="right")
    axes.set(ylabel="AP of each class, %")


def _trade_off(axes: Axes, table: pd.DataFrame) -> None:
    """Curves, with the interval of the events for the first detector."""
    colors = _colors(table)
    for detector, color in colors.items():
        rows = table[table["detector"] == detector]
        axes.plot(rows[PER_HOUR], rows[CAUGHT], color=color, linewidth=1.5, label=detector)
        if detector == next(iter(colors)):
            low, high = (rows[f"{CAUGHT}{end}"] for end in ENDS)
            axes.fill_between(rows[PER_HOUR], low, high, color=color, alpha=0.15, linewidth=0)
    # No false alarm at all is a wanted result, and 0 has no logarithm.
    axes.set_xscale("symlog", linthresh=1)
    axes.set(xlabel="false alarms per hour of normal video", ylabel="events caught, %", xlim=(0, None), ylim=(0, 102))


def _colors(table: pd.DataFrame) -> dict[str, str]:
    """A colour for each detector, the same as in its curves; the random one is grey, and after four they repeat."""
    detectors = [name for name in preferred_first(table["detector"]) if name != RANDOM]
    colors = {name: DETECTOR_COLORS[k % len(DETECTOR_COLORS)] for k, name in enumerate(detectors)}
    return colors | {name: FAINT for name in table["detector"].unique() if name == RANDOM}


PLOTS: dict[str, tuple[str, Callable[[Axes, pd.DataFrame], None]]] = {
    "precision_recall": ("Precision over recall", _lines("recall", "precision")),
    "roc": ("ROC", _lines("false_positive_rate", "true_positive_rate")),
    "map_over_iou": ("mAP over IoU", _localisation),
    "per_class": ("Frame-level AP of each class", _classes),
    "alarms": ("Events caught over false alarms per hour", _trade_off),
    "reliability": ("Reliability of the scores", _lines("score", "anomalous_share")),
}
