"""Where the files lie at which stages meet; ``dvc.yaml`` spells the same places."""

from pathlib import Path


def manifest(dataset: str) -> Path:
    """One row a video (stage ``prepare``)."""
    return Path("data") / dataset / "manifest.csv"


def ground_truth(dataset: str) -> Path:
    """One row an annotated segment (stage ``prepare``)."""
    return Path("data") / dataset / "ground_truth.csv"


def features(dataset: str, modality: str) -> Path:
    """Folder of feature files of one modality (stages ``extract_visual`` and ``extract_audio``)."""
    return Path("features") / dataset / modality


def run(dataset: str, variant: str) -> Path:
    """Folder of a trained detector (stages ``train`` and ``distill``)."""
    return Path("runs") / dataset / variant


def scores(dataset: str, variant: str, trained_on: str | None = None) -> Path:
    """Scores of the detector `variant`, trained on `trained_on` (default: the same data set), over the test videos."""
    return Path("results") / dataset / "scores" / f"{trained_on or dataset}.{variant}.h5"


def metrics(dataset: str) -> Path:
    """Metrics of every scored detector on one data set (stage ``evaluate``)."""
    return Path("results") / dataset / "metrics.json"
