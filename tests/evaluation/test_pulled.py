"""Scores that were made elsewhere and not pulled are missed, not left out."""

from pathlib import Path

import pytest

from avadclip import paths
from avadclip.config.evaluation import Across, Score
from avadclip.errors import EvaluationError
from avadclip.evaluation.pulled import check_pulled

SETTINGS = Score(
    variants=("audio_visual", "student"),
    across={
        "to": Across(dataset="demo", trained_on="other", variant="student"),
        "from": Across(dataset="other", trained_on="demo", variant="student"),
    },
)
FILES = ("demo.audio_visual", "demo.student", "other.student")


@pytest.mark.parametrize("known", [(), FILES[:1], FILES, (*FILES, "demo.earlier")])
@pytest.mark.parametrize("here", [(), FILES[:1], FILES])
def test_what_is_on_record_and_of_use_has_to_be_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: tuple[str, ...], here: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = paths.scores_folder("demo")
    folder.mkdir(parents=True)
    for name in here:
        (folder / f"{name}.h5").touch()
    Path("dvc.lock").write_text("".join(f"    - path: {folder / name}.h5\n      md5: 0\n" for name in known))
    absent = {*known} & {*FILES} - {*here}
    if not absent:
        check_pulled("demo", SETTINGS)
        return
    with pytest.raises(EvaluationError, match="dvc pull score") as caught:
        check_pulled("demo", SETTINGS)
    assert {name for name in (*FILES, "demo.earlier") if f"{name}.h5" in str(caught.value)} == absent


def test_without_dvc_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_pulled("demo", SETTINGS)
