"""A short run of the fuzzer, and everything that it has ever found."""

from pathlib import Path

import numpy as np
import pytest

from tests.attacks.fuzz import CORPUS, READERS, damaged, survives

N_FILES = 60  # a reader; `python -m tests.attacks.fuzz` reads on
FOUND = sorted(path.name for path in CORPUS.iterdir()) if CORPUS.is_dir() else []


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
@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once(tmp_path: Path, name: str) -> None:
    error = survives(READERS[name.partition("+")[0]], (CORPUS / name).read_bytes(), tmp_path)
    assert error is None, f"{type(error).__name__}: {error}"
