"""Sections in files of their own, as JSON: the parts of a model folder that are not tensors."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from avadclip.config.base import Section
from avadclip.config.loading import told_by_key
from avadclip.errors import CheckpointError
from avadclip.io import unknown_format, write_text

Content = TypeVar("Content", bound=Section)


def read_section(kind: type[Content], path: Path, stage: str) -> Content:
    """Read and check one file.

    Parameters
    ----------
    stage : the one that writes it, for messages.

    Raises
    ------
    CheckpointError : there is no such file, or it is not a section of this kind and format; or it says why there is
        none.
    """
    again = f"run `dvc repro {stage}` again, or `dvc pull`"
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{path}: no such file; expected a model folder, such as runs/demo after `dvc repro {stage}@demo`"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: cut off, or not UTF-8
        raise CheckpointError(f"{path}: damaged: {error}; {again}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: damaged: expected an object, found {type(content).__name__}; {again}")
    if "refusal" in content:
        raise CheckpointError(f"{path}: {content['refusal']}")
    expected = kind.model_fields["format"].default
    if (found := content.get("format")) != expected:
        raise CheckpointError(f"{path}: {unknown_format(found, expected, again)}")
    try:
        return kind.model_validate_json(json.dumps(content))  # strict mode accepts a list as a tuple from JSON only
    except ValidationError as error:
        raise CheckpointError(f"{told_by_key(error, str(path))}; {again}") from None


def write_refusal(path: Path, reason: str) -> None:
    """Write why there is no section, which :func:`read_section` reports."""
    write_text(path, json.dumps({"refusal": reason}, indent=2) + "\n")


def write_section(path: Path, content: Section) -> None:
    """Write one file; the same section gives the same bytes."""
    write_text(path, json.dumps(content.model_dump(mode="json"), indent=2) + "\n")
