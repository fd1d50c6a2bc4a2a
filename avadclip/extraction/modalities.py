"""How each modality is made: the kind of its section in params.yaml decides what reads it."""

from collections.abc import Callable
from typing import Any

from avadclip.config import Params, features
from avadclip.extraction.features import ImportedSound, ImportedViews
from avadclip.extraction.protocol import Modality, Sections
from avadclip.extraction.released import ReleasedSound, ReleasedViews
from avadclip.extraction.videos import VideoFrames, VideoSound
from avadclip.store import Recipe

READERS: dict[type[Any], Callable[[Sections], Modality]] = {
    features.Visual: VideoFrames,
    features.ReleasedVisual: ReleasedViews,
    features.ImportedVisual: ImportedViews,
    features.Audio: VideoSound,
    features.ReleasedAudio: ReleasedSound,
    features.ImportedAudio: ImportedSound,
}


def reader(name: str, sections: Sections) -> Callable[[Sections], Modality]:
    """The constructor of modality `name`, ``visual`` or ``audio``, of a data set or of a model folder."""
    return READERS[type(getattr(sections, name))]


def modality(name: str, sections: Sections) -> Modality:
    """The modality `name` of a data set or of a model folder."""
    return reader(name, sections)(sections)


def recipes(params: Params) -> dict[str, dict[str, Recipe]]:
    """Data set -> modality -> the recipe of its features with the current parameters."""
    return {
        key: {name: modality(name, section).recipe for name in section.modalities}
        for key, section in params.datasets.items()
    }
