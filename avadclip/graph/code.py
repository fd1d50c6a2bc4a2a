"""Stage ``code``: the hashes of the modules that each stage runs, in one file per stage or, if it has variants, each.

A stage of dvc.yaml depends on its file, so changing one detector runs that detector again, and no other; with folders
as dependencies, DVC could not tell them apart. The registry imports a detector by its name, which no import statement
shows, so the module of a variant's `kind` is a starting point of its own.
"""

import hashlib
import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from avadclip.config import Params
from avadclip.config.variants import Released
from avadclip.graph.imports import closure
from avadclip.io import sha256_of

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = ROOT / "avadclip" / "interop" / "checkpoints" / "layouts"  # of published checkpoints, named as their kind
OF_DATASETS = (
    "render",
    "prepare",
    "extract_visual",
    "extract_audio",
    "package",
    "evaluate",
    "figures",
    "players",
    "report",
)


def code_files(params: Params) -> dict[str, dict[str, str]]:
    """Name of the file (``prepare``, ``train.audio_visual`` ...) -> module, relative to the project -> its sha256."""
    files = {stage: hashes(_script(stage)) for stage in OF_DATASETS}
    for variant in {**params.train, **params.distill}:
        section = "train" if variant in params.train else "distill"
        kinds = _kinds(params, variant)
        taught_by = _kinds(params, params.teacher) if section == "distill" else []
        files[f"{section}.{variant}"] = hashes(_script(section), *kinds, *taught_by)
        files[f"score.{variant}"] = hashes(_script("score"), *kinds)
    return files


def hashes(*modules: Path) -> dict[str, str]:
    """sha256 of every file that these modules import, by its name relative to the project."""
    files = {file.relative_to(ROOT).as_posix(): file for file in closure(modules, ROOT)}
    return {name: sha256_of(files[name]) for name in sorted(files)}


def fingerprint(modules: Iterable[Path]) -> str:
    """One hash of all that these modules import."""
    return hashlib.sha256(json.dumps(hashes(*modules)).encode()).hexdigest()


def kind_module(kind: str) -> Path | None:
    """The file of a kind of detector, if it is part of the project; see :mod:`avadclip.detectors.registry`."""
    if "." not in kind:
        path = ROOT / "avadclip" / "detectors" / f"{kind}.py"
        return path if path.is_file() else None
    try:
        spec = find_spec(kind)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_relative_to(ROOT):
        return None
    return Path(spec.origin)


def _kinds(params: Params, variant: str) -> list[Path]:
    section = params.variant(variant)
    if not isinstance(section, Released):
        return _modules(section.kind)
    # The file decides which kind it becomes: one of AVadCLIP's, or one of those that have a layout.
    layouts = sorted(LAYOUTS.glob("[!_]*.py"))
    return _modules("audio_visual", "student", *(layout.stem for layout in layouts)) + layouts


def _modules(*kinds: str) -> list[Path]:
    return [module for kind in kinds if (module := kind_module(kind)) is not None]


def _script(stage: str) -> Path:
    return ROOT / "pipeline" / f"{stage}.py"
