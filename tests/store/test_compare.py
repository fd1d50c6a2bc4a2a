"""Comparing two sets of features: how far they agree, and which conversion turns one into the other."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from avadclip.cli import app
from avadclip.errors import FeatureError
from avadclip.store.compare import Candidate, compare, lines, search
from avadclip.store.feature_set import FeatureSet, open_set
from tests.support import pages
from tests.support.arrays_factory import write_array

FACTOR, WIDTH = 4, 24
FRAMES = {"a": 41, "b": 64, "c": 23}  # not all are multiples of FACTOR


def walk(n: int, seed: int) -> np.ndarray:
    """Make views [3, n, width] that change slowly, as videos do, around a common direction; vector lengths vary."""
    random = np.random.default_rng(seed)
    walked = 3 + np.cumsum(random.normal(size=(3, n, WIDTH)), axis=1)
    return (walked * random.uniform(0.2, 5, (3, n, 1))).astype(np.float32)


FINE = {id_: walk(n, seed) for seed, (id_, n) in enumerate(FRAMES.items())}


def as_set(arrays: Mapping[str, np.ndarray], name: str = "x") -> FeatureSet:
    return FeatureSet(name, tuple(sorted(arrays)), lambda id_: arrays[id_])


def grouped(rows: np.ndarray, frame: int | None) -> np.ndarray:
    """Reduce each group of rows to one frame or to its mean, in a slow and plain loop."""
    groups = [rows[start : start + FACTOR] for start in range(0, len(rows), FACTOR)]
    return np.stack([g.mean(axis=0) if frame is None else g[min(frame, len(g) - 1)] for g in groups])


CASES = {
    "first": Candidate(FACTOR, 0),
    "middle": Candidate(FACTOR, 2),
    "mean": Candidate(FACTOR, None),
    "mean of unit vectors": Candidate(FACTOR, None, normalisation="unit length"),
    "another view": Candidate(FACTOR, 3, view=2),
    "behind": Candidate(FACTOR, 1, offset=1),
    "ahead": Candidate(FACTOR, None, view=1, offset=-2),
}


@pytest.mark.parametrize("candidate", CASES.values(), ids=CASES)
def test_what_was_done_is_found(candidate: Candidate) -> None:
    made = {}
    for id_, views in FINE.items():
        rows = views[candidate.view]
        if candidate.normalisation == "unit length":
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        rows = grouped(rows, candidate.frame)
        at = np.arange(len(rows)) + candidate.offset
        made[id_] = 2.5 * rows[at[(at >= 0) & (at < len(rows))]]
        if candidate.offset < 0:  # their first snippets have no counterpart in ours
            made[id_] = np.concatenate([np.random.default_rng(9).normal(size=(-candidate.offset, WIDTH)), made[id_]])
        made[id_] = made[id_][None].astype(np.float32)
    found = search(as_set(FINE, "ours"), as_set(made, "theirs"))
    assert found.candidate == candidate
    assert found.median == pytest.approx(1, abs=1e-5)


def test_a_mean_that_was_subtracted_is_found() -> None:
    whole = {id_: views[:1] for id_, views in FINE.items()}
    mean = np.mean([views[0].mean(axis=0) for views in whole.values()], axis=0)
    found = search(as_set(whole), as_set({id_: views - mean for id_, views in whole.items()}))
    assert found.candidate == Candidate(1, 0, normalisation="mean of all subtracted")


def test_cosines_are_those_of_the_slow_loop() -> None:
    random = np.random.default_rng(0)
    noisy = {id_: views + random.normal(size=views.shape).astype(np.float32) for id_, views in FINE.items()}
    found = compare(as_set(FINE), as_set(noisy))
    cosines = {
        id_: [
            float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
            for x, y in zip(FINE[id_][0], noisy[id_][0], strict=True)
        ]
        for id_ in FINE
    }
    assert found.n_snippets == sum(FRAMES.values())
    everything = [value for own in cosines.values() for value in own]
    np.testing.assert_allclose(found.quantiles, np.quantile(everything, (0, 0.05, 0.25, 0.5, 0.75)), rtol=1e-5)
    worst = sorted((np.median(own), id_) for id_, own in cosines.items())
    assert [id_ for _, id_ in found.worst] == [id_ for _, id_ in worst]
    assert not found.equal


def test_a_set_is_equal_to_itself_and_to_its_copy_in_arrays(tmp_path: Path) -> None:
    for id_, views in FINE.items():
        write_array(tmp_path / f"{id_}.npz", views.astype(np.float16))
    stored = open_set(str(tmp_path), "visual")
    halves = {id_: views.astype(np.float16).astype(np.float32) for id_, views in FINE.items()}
    found = compare(stored, as_set(halves))
    assert found.equal
    assert found.ratio == pytest.approx(1)
    assert search(stored, as_set(halves)).candidate == Candidate()
    *_, last = lines(found, "ours", "theirs")
    assert last == (
        "On 128 snippets of 3 videos, the features of ours agree with those of theirs in a median cosine of 1.0000"
        " (5% quantile: 1.0000)."
    )


def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders hold arrays; the published set is the middle frame of each group of the finer set."""
    monkeypatch.chdir(tmp_path)
    for id_, views in FINE.items():
        middle = grouped(views[0], 2).astype(np.float16)
        write_array(Path("fine") / f"{id_}.npy", views[0].astype(np.float16))
        write_array(Path("xd_violence") / f"{id_}.npy", middle)
        write_array(Path("released/clip") / f"{id_}.npy", middle)
    same, searched = (
        CliRunner().invoke(app, command.split()[1:])
        for command in pages.commands("docs/features.md", "Why do mine not match?")
    )
    assert same.exit_code == searched.exit_code == 0, same.output + searched.output
    assert "median cosine of 1.0000" in same.output
    assert "number 2 of 4 snippets, view 0, no offset, as it is" in searched.output


def test_what_only_one_has_is_told() -> None:
    shorter = {"a": FINE["a"][:, :30], "b": FINE["b"], "z": FINE["c"]}
    found = compare(as_set(FINE), as_set(shorter))
    assert (found.only_a, found.only_b, found.other_lengths) == (("c",), ("z",), ("a",))
    text = "\n".join(lines(found, "ours", "theirs"))
    assert "only in ours: 1 videos, c among them" in text
    assert "other numbers of snippets: 1 videos, a among them" in text


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"q": FINE["a"]}, "no video is in both; A has 'a', for example, and B 'q'"),
        ({"a": FINE["a"][..., :7]}, "a: features of width 24 in x and 7 in x: cosines cannot"),
        ({"a": np.repeat(FINE["a"], 4, axis=1)}, "0.25 snippets for each one of x: name the finer set first"),
    ],
)
def test_what_cannot_be_compared(other: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        search(as_set(FINE), as_set(other))
