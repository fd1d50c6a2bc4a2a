"""Files of other published detectors, which are recognised by the names and shapes of their tensors.

There is no list of them: a file in `layouts` with the name of a kind adds one, and no detector is trained again.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from avadclip.config.features import Modality
from avadclip.detectors.checkpoint import load_weights
from avadclip.detectors.protocol import Detector, Dimensions
from avadclip.detectors.registry import build, settings_of
from avadclip.errors import CheckpointError
from avadclip.interop.checkpoints.layout import Layout

_PARALLEL = "module."  # before every name of a network that was trained on several GPUs


@dataclass(frozen=True)
class Published:
    """A published detector.

    Attributes
    ----------
    kind, settings : the kind, and settings that differ from our defaults.
    width : of its features, visual and audio joined if it takes both.
    tensors : by our names.
    embedding_width : of what it compares with class names; 0 if it names none.
    """

    kind: str
    settings: dict[str, Any]
    width: int
    tensors: dict[str, Tensor]
    embedding_width: int


@cache
def layouts() -> dict[str, Layout]:
    """`kind` -> its layout."""
    kinds = sorted(path.stem for path in (Path(__file__).parent / "layouts").glob("[!_]*.py"))
    return {kind: importlib.import_module(f"{__package__}.layouts.{kind}").LAYOUT for kind in kinds}


def find(tensors: Mapping[str, Tensor], origin: str) -> Published | None:
    """The detector whose layout matches the tensors; None if there is none.

    Raises
    ------
    CheckpointError : it looks like one, but tensors are missing or unknown.
    """
    if all(name.startswith(_PARALLEL) for name in tensors):
        tensors = {name.removeprefix(_PARALLEL): tensor for name, tensor in tensors.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for kind, layout in layouts().items():
        if layout.recognises(shapes):
            try:
                renamed = layout.renamed(tensors)
                sizes = layout.settings(shapes), layout.width(shapes)
                return Published(kind, *sizes, renamed, layout.embedding_width(shapes))
            except CheckpointError as error:
                raise CheckpointError(f"{origin}: looks like {kind}, but {error}") from None
    return None


def build_published(
    published: Published, widths: Mapping[Modality, int] | None, n_classes: int, origin: str
) -> Detector:
    """The detector with its weights.

    Parameters
    ----------
    widths : of the existing features; None if they are not known yet.

    Raises
    ------
    CheckpointError : the features are not as wide as those it was trained on, or tensors have unexpected shapes.
    """
    chosen = _chosen(published, widths, origin)
    settings = settings_of(published.kind, published.settings | {"modalities": list(chosen)})
    dimensions = Dimensions(chosen, n_classes, settings.recipe.bag.length, published.embedding_width)
    detector = build(published.kind, settings, dimensions)
    if (problem := load_weights(detector, published.tensors)) is not None:
        raise CheckpointError(f"{origin}: tensors of unexpected shapes: {problem}")
    return detector


def _chosen(published: Published, widths: Mapping[Modality, int] | None, origin: str) -> dict[Modality, int]:
    """The modalities that it takes: visual alone or with audio, depending on the width of the checkpoint."""
    if widths is None:
        return {"visual": published.width}
    for modalities in (("visual",), ("visual", "audio")):
        chosen: dict[Modality, int] = {m: widths[m] for m in widths if m in modalities}
        if sum(chosen.values()) == published.width:
            return chosen
    raise CheckpointError(
        f"{origin}: expects features of width {published.width}, visual ones or visual and audio joined; found"
        f" {dict(widths)}; it belongs to another data set"
    )
