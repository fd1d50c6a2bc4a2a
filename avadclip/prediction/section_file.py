"""Sections in files of their own, as JSON: the parts of a model folder that are no tensors."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from avadclip.config.base import Section
from avadclip.errors import CheckpointError
from avadclip.io import write_text

Content = TypeVar("Content", bound=Section)


def read_section(kind: type[Content], path: Path, stage: str) -> Content:
    """Read and check one file.

    Parameters
    ----------
    stage : which writes it, for messages.

    Raises
    ------
    CheckpointError : there is no such file, or it does not hold a section of this kind.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{path}: no such file; expected a model folder, as runs/demo is after `dvc repro {stage}@demo`"
        ) from None
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: not what a model folder holds: {error}; run `dvc repro {stage}` again"
        ) from None


def write_section(path: Path, content: Section) -> None:
    """Write one file; the same section gives the same bytes."""
    write_text(path, json.dumps(content.model_dump(mode="json"), indent=2) + "\n")
