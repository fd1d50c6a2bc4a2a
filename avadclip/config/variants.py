"""Sections ``train.<variant>`` and ``distill.<variant>``: which detector a variant is, and its settings.

Only the keys that all variants share are checked here. The settings of a kind are defined in its file in
`avadclip.detectors`, which imports torch; `avadclip.detectors.registry` checks them when training starts and in
``avadclip doctor``.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, WrapValidator

from avadclip.config.base import Section, validated_as
from avadclip.config.features import Weights

# A file in avadclip/detectors, or the dotted name of a module of your own.
Kind = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class Variant(Section):
    """A detector that is trained; all other keys are settings of its kind."""

    model_config = Section.model_config | {"extra": "allow"}

    kind: Kind
    on: dict[str, dict[str, Any]] = {}  # data set -> settings that differ there

    def settings_on(self, dataset: str) -> dict[str, Any]:
        """The settings for one data set; those of `on` override the others, key by key."""
        return merged(self.model_extra or {}, self.on.get(dataset, {}))


class Released(Section):
    """A checkpoint that the authors released; it is imported instead of trained, and defines its own architecture."""

    released: Weights  # a .pth file


def merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `overrides`, which replace single keys of nested sections."""
    both = dict(values)
    for key, value in overrides.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return both


def _trained_or_released(value: Any, _: Any) -> Variant | Released:
    released = "released" in value if isinstance(value, dict) else isinstance(value, Released)
    return validated_as(Released, value) if released else validated_as(Variant, value)


TrainedOrReleased = Annotated[Variant | Released, WrapValidator(_trained_or_released)]
