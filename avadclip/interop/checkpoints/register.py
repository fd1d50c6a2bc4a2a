"""``avadclip import-checkpoint``: check a released file and write it into ``params.yaml``; stage `train` imports it."""

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
    """What was found in a released file; `unused` names the tensors that no detector of ours has a place for."""

    what: str
    sha256: str
    unused: tuple[str, ...]


def register_checkpoint(path: Path, dataset: str, variant: str, params: Path) -> Registered:
    """Pin a released checkpoint as the variant `variant` of `train`, and have it scored.

    Raises
    ------
    CheckpointError : the file is not a released detector, or not for the classes of this data set.
    ConfigError : no such data set, or there is a variant of this name that is trained.
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
        # In place: the comment after a section hangs on the last entry in it.
        entry["released"].update(path=file.path, sha256=file.sha256)
        score = content.setdefault("score", {})
        scored = score.setdefault("variants", [])
        if variant not in scored:
            scored.append(variant)
        # The graph needs one for videos without sound, even where none has none, and one that decides: who hears, too,
        # rather than a released student.
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
