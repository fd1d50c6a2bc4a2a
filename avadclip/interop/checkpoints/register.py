"""``avadclip import-checkpoint``: check a released file and add it to ``params.yaml``; stage `train` imports it."""

from dataclasses import dataclass
from pathlib import Path

from avadclip import config
from avadclip.config.editing import edited
from avadclip.config.features import Weights
from avadclip.errors import ConfigError
from avadclip.interop.checkpoints.adopt import assemble, recognised
from avadclip.interop.checkpoints.names import NAMES
from avadclip.interop.checkpoints.published import Published
from avadclip.io import sha256_of


@dataclass(frozen=True)
class Registered:
    """What was found in a released file; `unused` names the tensors that our detectors do not have."""

    what: str
    sha256: str
    unused: tuple[str, ...]


def register_checkpoint(path: Path, dataset: str, variant: str, params: Path) -> Registered:
    """Pin a released checkpoint as the variant `variant` of `train`, and have it scored.

    Raises
    ------
    CheckpointError : the file is not a released detector, or not for the classes of this data set.
    ConfigError : no such data set, or a variant of this name is trained.
    """
    loaded = config.load(params)
    section = loaded.dataset(dataset)
    released = recognised(path)
    file = Weights(path=str(path), sha256=sha256_of(path))
    assemble(released, file, dataset, section, variant, folders={})
    with edited(params) as content:
        trained, taught = content.setdefault("train", {}), content.get("distill", {})
        entry = trained.setdefault(variant, {"released": {}})
        if "released" not in entry or variant in taught:
            raise ConfigError(
                f"{params}: there is a variant {variant!r} already, which is trained; choose another name"
            )
        # In place, because the comment after a section is attached to its last entry.
        entry["released"].update(path=file.path, sha256=file.sha256)
        score = content.setdefault("score", {})
        scored = score.setdefault("variants", [])
        if variant not in scored:
            scored.append(variant)
        # The graph needs a detector for videos without sound, even if all have sound, and one that decides: preferably
        # one that uses sound, rather than a released student.
        known = {**trained, **taught}
        if loaded.score.student not in known:
            score["student"] = variant
        decides = known.get(loaded.score.detector)
        hears = not isinstance(released, Published) and released.role == "teacher"
        if decides is None or ("released" in decides and hears):
            score["detector"] = variant
    if isinstance(released, Published):
        return Registered(released.kind, file.sha256 or "", ())
    return Registered(NAMES[released.role].removeprefix("a "), file.sha256 or "", released.unused)
