"""Which detectors the page of the test videos shows, and which of them decides."""

from collections.abc import Sequence

from avadclip.config import Params
from avadclip.evaluation.detectors import ScoredDetector


def shown_on_page(detectors: Sequence[ScoredDetector], params: Params) -> list[ScoredDetector]:
    """As in ``avadclip predict``: `score.detector` decides and comes first, `score.student` is shown beside it.

    If neither was scored, the first detector.
    """
    by_name = {detector.name: detector for detector in detectors}
    wanted = dict.fromkeys([params.score.detector, params.score.student])
    return [by_name[name] for name in wanted if name in by_name] or list(detectors[:1])
