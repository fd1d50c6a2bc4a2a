"""What every section of ``params.yaml`` has in common: frozen, strictly typed, no unknown keys."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A block of ``params.yaml``. Unknown keys and wrong types are errors, and nothing can be changed after loading.

    Numbers are finite, as those in the JSON files that record them must be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


S = TypeVar("S", bound=Section)


def validated_as(section: type[S], value: Any) -> S:
    """Validate a value as `section`. A union of pydantic's would put the names of its members into an error's key."""
    # Through JSON for the reason given in `loading`.
    return value if isinstance(value, section) else section.model_validate_json(json.dumps(value))
