"""Training curves, written by dvclive: every loss term, learning rate, score of the round, throughput."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dvclive.live import Live

from avadclip.io import naming

FOLDER = "curves"  # in the run's folder; not a DVC output, because throughput varies


class Curves:
    """One point per round for each curve, in ``<run>/curves``. Writes nothing else: no dvc.yaml, no experiment.

    Parameters
    ----------
    finished_rounds : of an earlier, interrupted run; its points are kept.
    """

    def __init__(self, run: Path, finished_rounds: int) -> None:
        resume = finished_rounds > 0
        self._folder = run / FOLDER
        self._live: Any  # dvclive is only partly typed
        _remove_damaged(self._folder / "metrics.json")
        with naming(self._folder):
            self._live = Live(str(self._folder), resume=resume, report=None, save_dvc_exp=False, dvcyaml=None)

    def log(self, round_: int, values: Mapping[str, float]) -> None:
        """Add one point to each curve; `round_` counts from 1."""
        with naming(self._folder):
            self._live.step = round_
            for name, value in values.items():
                self._live.log_metric(name, value)
            self._live.make_summary()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with naming(self._folder):
            self._live.end()


def _remove_damaged(latest: Path) -> None:
    """dvclive continues from its last point, which it writes in place, so a killed run may have left half of it."""
    try:
        json.loads(latest.read_bytes())
    except FileNotFoundError:
        pass
    except ValueError:
        latest.unlink()
