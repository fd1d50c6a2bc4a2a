"""Metrics of whole videos: which of them are anomalous, which can be measured with labels alone."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Branch
from avadclip.evaluation.alarms import ratio
from avadclip.evaluation.metrics import FRAME_CUTS, Metrics
from avadclip.evaluation.ranking import Positives, Ranking, Weights, rank
from avadclip.evaluation.resampling import Resampled, Values, cut_finely
from avadclip.evaluation.timeline import Timeline


@dataclass(frozen=True)
class WholeVideos:
    """Videos ranked by their highest score, of the branch that raises alarms.

    Attributes
    ----------
    ranking, positives : one item per video; the anomalous ones are positive.
    anomalous : float64 [videos], 1 for an anomalous video.
    caught : float64 [videos], 1 for an anomalous video with an alarm.
    """

    ranking: Ranking
    positives: Positives
    anomalous: NDArray[np.float64]
    caught: NDArray[np.float64]

    @classmethod
    def of(cls, view: Timeline, branch: Branch, alarmed: NDArray[np.bool_]) -> Self:
        """All videos of a timeline, with an alarm in the snippets `alarmed`."""
        highest, n_videos = view.highest(branch), len(view.videos)
        anomalous = np.array([not video.is_normal for video in view.videos], dtype=np.int64)
        ranking = rank(highest, np.arange(n_videos), np.ones(n_videos, dtype=np.int64))
        caught = anomalous * np.logical_or.reduceat(alarmed, view.first_snippet[:-1])
        return cls(ranking, ranking.positives(anomalous), anomalous.astype(np.float64), caught.astype(np.float64))

    def metrics(self, weights: Weights) -> Metrics:
        """AP, AUC, and the share of the anomalous videos that have an alarm, in percent, under `weights` [videos]."""
        weighted = self.positives.under(weights, self.ranking.cumulate(weights))
        return {
            "video.AP": 100 * weighted.average_precision(),
            "video.AUC": 100 * weighted.area_under_roc(),
            "video.caught": float(self._caught(weights[np.newaxis])[0]),
        }

    def resampled(self, weights: Values) -> Resampled:
        """The same for many weightings at once, `weights` [resamples, videos]."""
        cuts = cut_finely(self.ranking, self.positives, weights.shape[1], FRAME_CUTS).under(weights)
        return {
            "video.AP": 100 * cuts.average_precision(),
            "video.AUC": 100 * cuts.area_under_roc(),
            "video.caught": self._caught(weights),
        }

    def _caught(self, weights: Values) -> Values:
        return 100 * ratio(weights @ self.caught, weights @ self.anomalous)
