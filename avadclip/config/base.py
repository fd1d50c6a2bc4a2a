"""What every section of ``params.yaml`` has in common: frozen, strictly typed, no unknown keys."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A block of ``params.yaml``. Unknown keys and wrong types are errors, and nothing can be changed after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())
