"""``params.yaml`` as frozen, typed, validated sections."""

from avadclip.config.loading import Params, load, validate

__all__ = ["Params", "load", "validate"]
