"""Sections ``score``, ``evaluate``, ``figures`` and ``report``: from a trained detector to numbers and pictures."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, WrapValidator, model_validator

from avadclip.config.base import Section, validated_as

Share = Annotated[float, Field(gt=0, lt=1)]
Branch = Literal["classification", "alignment"]
MissingAudio = Literal["stand_in", "fallback", "refuse"]


class Across(Section):
    """A detector that is trained on one data set and tested on another (paper, table V)."""

    dataset: str  # the tested one
    trained_on: str
    variant: str


class Score(Section):
    """Which detectors are run over the test videos, and how."""

    variants: tuple[str, ...] = ()  # of `train` and `distill`, each over the test videos of every data set
    across: dict[str, Across] = {}
    # What counts for a video without sound if a detector needs sound: the student's scores; the detector's own, which
    # uses the visual feature alone; or nothing, and an error lists these videos.
    missing_audio: MissingAudio = "fallback"
    detector: str = "audio_visual"  # the variant that decides in model folders and on pages
    student: str = "visual_student"  # the variant that stands in for it, and is shown beside it


class Localisation(Section):
    """How the class probabilities of a video become proposals; the defaults are the authors'."""

    depth: Share = 0.6  # frames above max - depth * (max - min) of the video belong to a proposal
    min_frames: Annotated[int, Field(ge=1)] = 2  # shorter runs are not proposals
    top_share: Annotated[int, Field(ge=1)] = 16  # class score: mean of the largest 1/top_share of the frames ...
    class_score_weight: Annotated[float, Field(ge=0)] = 0.7  # ... which this adds to a proposal's own maximum


NotNegative = Annotated[float, Field(ge=0)]


class Alarms(Section):
    """How scores become alarms, in this order; by default each run of snippets that reaches the threshold is an alarm.

    Seconds are rounded to whole snippets of each video; see :class:`avadclip.evaluation.alarm_rule.AlarmRule`.
    """

    smooth_seconds: NotNegative = 0.0  # length of the window around each snippet over which scores are averaged
    off: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of the threshold down to which an alarm goes on
    bridge_seconds: NotNegative = 0.0  # the longest gap between two alarms that are one
    shortest_seconds: NotNegative = 0.0  # shorter alarms are dropped
    pad_seconds: NotNegative = 0.0  # added before and after each alarm

    def __str__(self) -> str:
        """The rules beside the threshold, as a part of a sentence; empty if there are none."""
        told = (
            (self.smooth_seconds, f"scores are averaged over {self.smooth_seconds:g} s"),
            (self.off < 1, f"an alarm continues down to {self.off:g} of that"),
            (self.bridge_seconds, f"gaps of up to {self.bridge_seconds:g} s are bridged"),
            (self.shortest_seconds, f"alarms shorter than {self.shortest_seconds:g} s are dropped"),
            (self.pad_seconds, f"{self.pad_seconds:g} s are added before and after"),
        )
        return "; ".join(text for is_set, text in told if is_set)


class Budget(Section):
    """How many false alarms are allowed, from which the threshold is chosen; see :mod:`avadclip.evaluation.budget`."""

    false_alarms_per_hour: Annotated[float, Field(gt=0)]  # of normal video


_SHARE: TypeAdapter[float] = TypeAdapter(Share)


def _level_or_budget(value: Any, _: Any) -> float | Budget:
    is_budget = isinstance(value, dict | Budget)
    return validated_as(Budget, value) if is_budget else _SHARE.validate_python(value, strict=True)


class Evaluate(Section):
    """Thresholds and resampling of stage ``evaluate``; nothing else depends on them."""

    # Operating point: an alarm is on where the score reaches this number; or the budget that a threshold is chosen by.
    alarm_threshold: Annotated[float | Budget, WrapValidator(_level_or_budget)] = 0.5
    alarm_branch: Branch = "alignment"  # the branch that raises alarms; the published AP is of this one
    alarms: Alarms = Alarms()
    iou_thresholds: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.1, 0.2, 0.3, 0.4, 0.5)
    released: Localisation = Localisation()  # with other values it is no longer the authors' protocol
    strict: Localisation = Localisation()
    bootstrap_resamples: Annotated[int, Field(ge=0)] = 1000  # 0: no intervals
    bootstrap_seed: Annotated[int, Field(ge=0)] = 0
    confidence: Share = 0.95  # of the intervals
    random_seed: Annotated[int, Field(ge=0)] = 0  # of the Random row
    reliability_bins: Annotated[int, Field(ge=2)] = 10

    @property
    def budget(self) -> float | None:
        """False alarms per hour of normal video, if the threshold is chosen by them."""
        return self.alarm_threshold.false_alarms_per_hour if isinstance(self.alarm_threshold, Budget) else None

    @property
    def level(self) -> float:
        """The threshold: the score from which an alarm is on. With a budget, it has to be chosen first."""
        if isinstance(self.alarm_threshold, Budget):
            raise TypeError("a budget is not a threshold; see `Evaluate.at`")
        return self.alarm_threshold

    def at(self, level: float) -> Self:
        """The same settings with a threshold that was chosen."""
        return self.model_copy(update={"alarm_threshold": level})

    @model_validator(mode="after")
    def _iou_thresholds_ascend(self) -> Self:
        if list(self.iou_thresholds) != sorted(set(self.iou_thresholds)):
            raise ValueError("`iou_thresholds` must ascend")
        return self


class Figures(Section):
    """Which videos and detectors stage ``figures`` draws."""

    videos: tuple[str, ...] = ()  # ids; empty: the most instructive ones, see avadclip.evaluation.figures.selection
    n_videos: Annotated[int, Field(ge=1)] = 12  # how many of them, if `videos` is empty
    detectors: tuple[str, ...] = ()  # names as in the metrics, in the order of their colours; empty: all, at most four
    formats: Annotated[tuple[Literal["png", "svg"], ...], Field(min_length=1)] = ("png",)


class Report(Section):
    """What stage ``report`` copies into its page."""

    players: Annotated[int, Field(ge=0)] = 60  # videos that can be played there, the most alarming first
