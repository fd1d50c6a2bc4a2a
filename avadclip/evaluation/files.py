"""What stage ``evaluate`` writes, JSON and tables, and how others read it."""

import json
import math
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from avadclip import paths
from avadclip.errors import EvaluationError
from avadclip.io import write_text


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically; undefined values (NaN) become null."""
    write_text(path, json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV table; shares keep six digits, which is finer than any plot."""
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_details(dataset: str) -> Any:
    """All results of a data set: ``details.json``.

    Raises
    ------
    EvaluationError : the data set has not been evaluated, or the file is damaged.
    """
    path = paths.details(dataset)
    try:
        details = json.loads(_text(path))
    except ValueError as error:
        raise EvaluationError(f"{path}: damaged: {error}; run `dvc repro`") from None
    if not isinstance(details, dict) or "detectors" not in details:
        raise EvaluationError(f"{path}: damaged: expected `detectors`; run `dvc repro`")
    return details


def read_table(path: Path) -> pd.DataFrame:
    """A table that :func:`write_table` wrote; only an empty cell is no value, because a detector may be called `NA`.

    Raises
    ------
    EvaluationError : no such file, or it is damaged.
    """
    text = StringIO(_text(path))
    try:
        return pd.read_csv(text, keep_default_na=False, na_values=[""])
    except ValueError as error:  # pandas' own errors are among these
        raise EvaluationError(f"{path}: damaged: {error}; run `dvc repro`") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EvaluationError(f"{path}: no such file; run `dvc repro`") from None
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path}: damaged: {error}; run `dvc repro`") from None


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
