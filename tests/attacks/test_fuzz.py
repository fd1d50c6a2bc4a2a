"""A short run of random damage, and every file that the fuzzer has ever kept."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.attacks import corpus
from tests.attacks.damage import changed_inside, damaged
from tests.attacks.readers import READERS, survives

N_FILES = 60  # for each reader; `python -m tests.attacks.fuzz` tries more
KEPT = sorted(path.relative_to(corpus.CORPUS) for path in corpus.CORPUS.glob("*/*"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_give_a_result_or_a_named_error(tmp_path: Path, name: str) -> None:
    reader, random = READERS[name], np.random.default_rng(1)
    whole = reader.whole()
    (tmp_path / reader.name).write_bytes(whole)
    reader.read(tmp_path / reader.name)
    for number in range(N_FILES):
        error = survives(reader, damaged(whole, random), tmp_path)
        assert error is None, f"file {number}: {type(error).__name__}: {error}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kept", KEPT, ids=str)
def test_what_was_kept_gives_a_result_or_a_named_error(tmp_path: Path, kept: Path) -> None:
    error = survives(READERS[kept.parent.name], (corpus.CORPUS / kept).read_bytes(), tmp_path)
    assert error is None, f"{type(error).__name__}: {error}"


def test_the_corpus_is_there_and_small() -> None:
    assert KEPT, f"{corpus.CORPUS}: no file is kept, so the test above reads nothing"
    assert {kept.parent.name for kept in KEPT} <= READERS.keys()
    for name in READERS:
        # Beyond what `--keep` adds, there is room for finds, which are as large as a clip.
        assert sum(path.stat().st_size for path in (corpus.CORPUS / name).glob("*")) <= 4 * corpus.MOST_BYTES, name


def test_an_archive_is_changed_inside_of_one_file() -> None:
    whole = READERS["torchscript"].whole()
    changed = changed_inside(whole, np.random.default_rng(0), lambda part: part + b"!")
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(io.BytesIO(changed)) as after:
        assert after.testzip() is None  # checksums hold
        differ = [name for name in before.namelist() if before.read(name) != after.read(name)]
    assert len(differ) == 1
    assert changed_inside(b"no archive", np.random.default_rng(0), bytes.upper) == b"NO ARCHIVE"


def test_only_what_reaches_more_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "CORPUS", tmp_path / "corpus")
    inputs = {"as whole": b"w B1 2 6 B2 7 9\n", "no code": b"v XX 1 5\n", "no code, longer": b"v XX 1 5 XX 7 9\n"}
    (tmp_path / "inputs").mkdir()
    for name, content in inputs.items():
        (tmp_path / "inputs" / name).write_bytes(content)
    corpus.add_what_reaches_more("annotations", tmp_path / "inputs")
    assert [path.read_bytes() for path in (tmp_path / "corpus/annotations").iterdir()] == [inputs["no code"]]
