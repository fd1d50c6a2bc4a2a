"""The commands that write files: their command lines, and the projects they run in (`tests.faults.projects`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import distill, evaluate, extract_visual, figures, package, prepare, report, score, train
from tests.faults import projects
from tests.support.project_factory import NAME
from tests.support.training_factory import NAME as TRAINED


@dataclass(frozen=True)
class Command:
    """The words of a command line, the function that builds its project, and stand-ins for what is slow.

    Attributes
    ----------
    stand_ins : dotted name of a function or class -> what takes its place.
    replaces : pattern of the files that may be left from an earlier run, with any content.
    clears : whether it removes earlier results before it begins.
    elsewhere : pattern of operations to skip, because the test of another command covers the same code.
    """

    words: tuple[str, ...]
    build: Callable[[], None]
    stand_ins: Mapping[str, Any] = field(default_factory=dict)
    replaces: str = ""
    clears: bool = False
    elsewhere: str = "(?!)"


STAGES: dict[str, Callable[..., None]] = {
    "prepare": prepare.main,
    "extract": extract_visual.main,
    "train": train.main,
    "distill": distill.main,
    "package": package.main,
    "score": score.main,
    "evaluate": evaluate.main,
    "figures": figures.main,
    "report": report.main,
}
THE_SAME_CODE = {"avadclip.training.run.fingerprint": lambda _files: "the same code"}
COMMANDS: dict[str, Command] = {
    "prepare": Command(
        ("prepare", NAME),
        projects.listed,
        {"avadclip.datasets.prepare.probe_all": projects.probe_all},
        replaces="data/.*",
    ),
    "extract": Command(
        ("extract", NAME), projects.two_videos, {"avadclip.extraction.run.encode_videos": projects.encode}
    ),
    "train": Command(("train", TRAINED, "mil", "0"), projects.trainable, THE_SAME_CODE, replaces=r"runs/.*/model\..*"),
    "distill": Command(
        ("distill", TRAINED, "visual_student", "0"),
        projects.taught,
        {**THE_SAME_CODE, "avadclip.training.preparation.text_tower": projects.read_classes},
        replaces=r"runs/.*/model\..*",
        elsewhere=r"/curves\b",
    ),
    "package": Command(("package", NAME), projects.packable, replaces="runs/.*|results/.*"),
    "score": Command(("score", TRAINED, "mil", "0"), projects.trained, replaces="results/.*"),
    "evaluate": Command(("evaluate", NAME), projects.scored, replaces=r"results/.*|runs/.*\.json"),
    "figures": Command(
        ("figures", NAME),
        projects.evaluated,
        {"avadclip.evaluation.figures.draw_all.draw": projects.draw_nothing},
        replaces="results/.*",
    ),
    "report": Command(
        ("report", NAME),
        projects.evaluated,
        {"avadclip.report.from_results.draw_plots": projects.draw_plots},
        replaces="results/.*",
        clears=True,
    ),
    "merge": Command(("features", "merge", "theirs"), projects.somebodys_cache),
    "import-features": Command(
        (
            *("import-features", "--visual", "release/visual", "--audio", "release/audio"),
            *("--annotations", "release/list", "--dataset", "xd"),
        ),
        projects.released,
        replaces="data/xd/annotations/.*",
    ),
    "import-features of arrays": Command(
        (
            *("import-features", "--visual", "in/visual", "--annotations", "in", "--dataset", "own"),
            *("--stride", "16", "--frame-rate", "24", "--alone"),
        ),
        projects.arrays,
        replaces="data/own/annotations/.*",
    ),
    "predict": Command(
        ("predict", "a.mp4", "--model", "runs/toy", "--out", "out"),
        projects.video,
        {"avadclip.commands.predicting.Predictor": projects.Predictor},
        replaces=r"out/(?!segments\.csv).*",  # which has to have our header
        clears=True,
    ),
}
