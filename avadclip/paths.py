"""Where the files are that stages exchange; ``dvc.yaml`` names the same places."""

from pathlib import Path


def data(dataset: str) -> Path:
    """Folder of a data set: videos, annotations and what stage ``prepare`` makes from them."""
    return Path("data") / dataset


def manifest(dataset: str) -> Path:
    """Table with one row per video (stage ``prepare``)."""
    return data(dataset) / "manifest.csv"


def ground_truth(dataset: str) -> Path:
    """Table with one row per annotated segment (stage ``prepare``)."""
    return data(dataset) / "ground_truth.csv"


def features(dataset: str, modality: str) -> Path:
    """Folder of feature files of one modality (stages ``extract_visual`` and ``extract_audio``)."""
    return Path("features") / dataset / modality


def model(dataset: str) -> Path:
    """Model folder, with all that prediction needs (stages ``package``, ``train``, ``distill`` and ``evaluate``)."""
    return Path("runs") / dataset


def run(dataset: str, variant: str, seed: int) -> Path:
    """Folder of a trained detector (stages ``train`` and ``distill``)."""
    return model(dataset) / variant / f"seed{seed}"


def code(name: str) -> Path:
    """Which modules a stage runs (stage ``code``)."""
    return Path("runs") / "code" / f"{name}.json"


def scores(dataset: str, variant: str, seed: int, trained_on: str | None = None) -> Path:
    """Scores of the detector `variant`, trained on `trained_on` (default: the same data set), over the test videos."""
    return scores_folder(dataset) / f"{trained_on or dataset}.{variant}.seed{seed}.h5"


def scores_folder(dataset: str) -> Path:
    """Score files of every detector that was run over one data set (stage ``score``)."""
    return results(dataset) / "scores"


def normal_scores(dataset: str, variant: str, seed: int, trained_on: str | None = None) -> Path:
    """Scores of the same detector for normal training videos, on which a threshold may be chosen."""
    return results(dataset) / "normal_scores" / f"{trained_on or dataset}.{variant}.seed{seed}.h5"


def results(dataset: str) -> Path:
    """Folder of all results of the detectors that were run over one data set."""
    return Path("results") / dataset


def metrics(dataset: str) -> Path:
    """Headline metrics of every scored detector on one data set (stage ``evaluate``)."""
    return results(dataset) / "metrics.json"


def details(dataset: str) -> Path:
    """All metrics, with intervals, classes, audio and notes (stage ``evaluate``)."""
    return results(dataset) / "details.json"


def summary(dataset: str) -> Path:
    """Tables for readers (stage ``evaluate``)."""
    return results(dataset) / "summary.md"


def records(dataset: str) -> Path:
    """Folder with one file per detector, from which tables are made, here and elsewhere (stage ``evaluate``)."""
    return results(dataset) / "records"


def tables(dataset: str) -> Path:
    """Folder of the paper's tables (``avadclip table all``)."""
    return results(dataset) / "tables"


def figures(dataset: str) -> Path:
    """Folder of timelines (stage ``figures``)."""
    return results(dataset) / "figures"


def distances(dataset: str) -> Path:
    """How far each test video is from the training videos (stage ``package``)."""
    return results(dataset) / "distances.csv"


def players(dataset: str) -> Path:
    """Folder of copies of the videos that the page plays (stage ``players``). They never leave the machine."""
    return results(dataset) / "players"


def footage(dataset: str) -> Path:
    """What else the page needs from the video files: clocks and sound strips (stage ``players``)."""
    return results(dataset) / "footage.h5"


def report(dataset: str) -> Path:
    """Folder of the page (stage ``report``)."""
    return results(dataset) / "report"
