"""Pretrained weights as local files: found or fetched, and always the pinned ones."""

import os
import re
import shutil
import tempfile
import urllib.request
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from zipfile import BadZipFile

from rich.progress import wrap_file
from safetensors import SafetensorError

from avadclip.config.features import Clip, Weights
from avadclip.errors import WeightsError, refused_write
from avadclip.io import sha256_of

SHARED = Path("weights")  # of the project: weights that the team shares there through DVC have precedence
TIMEOUT_SECONDS = 30.0  # without data, not for the whole download
_ahead: dict[tuple[Path, int, int], Future[str]] = {}  # of files that are being hashed


# What may be raised by reading a damaged file of weights, or one of another network.
DAMAGED = (
    *(OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError),
    *(BadZipFile, SafetensorError),
)


@dataclass(frozen=True)
class Published:
    """A file of weights that its authors offer for download."""

    name: str
    url: str
    sha256: str | None = None  # None: not published


def _openai(name: str, sha256: str) -> Published:
    return Published(name, f"https://openaipublic.azureedge.net/clip/models/{sha256}/{name}", sha256)


# By open_clip's name of the architecture; OpenAI's networks compute QuickGELU.
OPENAI_CLIPS = {
    "ViT-B-32-quickgelu": _openai("ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
    "ViT-B-16-quickgelu": _openai("ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),
    "ViT-L-14-quickgelu": _openai("ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),
    "ViT-L-14-336-quickgelu": _openai(
        "ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"
    ),
}
WAV2CLIP = Published(
    name="Wav2CLIP.pt",
    url="https://github.com/descriptinc/lyrebird-wav2clip/releases/download/v0.1.0-alpha/Wav2CLIP.pt",
)


def published_clip(clip: Clip) -> Published | None:
    """The file that is published for this image encoder, if there is one."""
    return None if clip.encoder_config else OPENAI_CLIPS.get(clip.encoder)


def locate(weights: Weights, published: Published | None, key: str = "weights") -> Path:
    """The file of weights that params.yaml asks for, with its sha256 verified.

    Parameters
    ----------
    weights : a local path, or none for the published file.
    published : the file to fetch, once, to :func:`place` if there is no local path; None if this encoder has none.
    key : the key of `weights` in params.yaml, for messages.

    Raises
    ------
    WeightsError : no such file, another sha256 than the pinned one, or the file cannot be fetched.
    """
    if weights.path is not None:
        path = Path(weights.path)
        if not path.is_file():
            hint = f"; it can be downloaded from {published.url}" if published else ""
            raise WeightsError(f"{key}.path: {path}: no such file (expected sha256 {weights.sha256}){hint}")
    elif published is not None:
        path = place(published)
        if not path.is_file():
            _fetch(published, path, weights, key)
    else:
        raise WeightsError(f"{key}.path: missing; nothing is published for this encoder, so name a local file")
    _verify(path, str(path), weights, key)
    return path


def hash_ahead(weights: Weights, published: Published | None) -> None:
    """Begin to hash the file that :func:`locate` is about to verify, beside the imports that come before it.

    Nothing happens where there is no file yet; :func:`locate` says so.
    """
    with suppress(WeightsError, OSError):
        if weights.path is not None:
            path = Path(weights.path)
        elif published is not None:
            path = place(published)
        else:
            return
        _ahead[_state(path)] = found = Future[str]()
        Thread(target=_hash, args=(path, found), daemon=True).start()


def _hash(path: Path, found: Future[str]) -> None:
    try:
        found.set_result(sha256_of(path))
    except OSError as error:
        found.set_exception(error)


def _state(path: Path) -> tuple[Path, int, int]:
    """A file as it is now; what was found in another state says nothing about it."""
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns


def refused_weights(path: Path, error: Exception) -> WeightsError:
    """The error for a pickle with more than tensors; torch's own message recommends running it."""
    if (named := re.search(r"GLOBAL (\S+)", str(error))) is None:
        return WeightsError(f"{path}: expected a file of tensors, found none; download it again")
    return WeightsError(
        f"{path}: refused, and no code in it was run: expected only tensors, found `{named[1]}` too; get another file"
    )


def place(published: Published) -> Path:
    """Where a published file is, or is stored when it is fetched: below ``weights`` if the team shares it there.

    Raises
    ------
    WeightsError : it is shared through DVC but was not pulled to this machine.
    """
    shared, cached = SHARED / published.name, cache_folder() / published.name
    pointer = shared.with_name(f"{shared.name}.dvc")
    if pointer.is_file() and not shared.is_file() and not cached.is_file():
        raise WeightsError(f"{shared}: shared through DVC, but not on this machine; run `dvc pull {pointer}`")
    return shared if shared.is_file() else cached


def cache_folder() -> Path:
    """Folder of fetched weights: the environment variable AVADCLIP_WEIGHTS, or ``~/.cache/avadclip``."""
    return Path(os.environ.get("AVADCLIP_WEIGHTS") or Path.home() / ".cache" / "avadclip")


def _verify(path: Path, origin: str, weights: Weights, key: str) -> None:
    ahead = _ahead.pop(_state(path), None)
    found = sha256_of(path) if ahead is None else ahead.result()
    if weights.sha256 is None:
        raise WeightsError(
            f"{key}.sha256: not pinned yet; {origin} has sha256 {found}: write that into params.yaml if you trust it"
        )
    if found != weights.sha256:
        raise WeightsError(
            f"{origin}: not the pinned weights: expected sha256 {weights.sha256}, found {found}; replace it, or "
            f"correct `{key}.sha256` in params.yaml if you trust it"
        )


def _fetch(published: Published, path: Path, weights: Weights, key: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            partial = Path(folder) / path.name
            _download(published, partial)
            if weights.sha256 is not None:
                _verify(partial, published.url, weights, key)
            partial.replace(path)  # atomic: no reader ever sees half a file
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and refused_write(error) is not None:
            raise  # trying again would not help
        raise WeightsError(
            f"cannot fetch {published.name}: {error}; download {published.url} (sha256 {weights.sha256}) on a machine "
            f"with a network, and copy it to {path}, or set `{key}.path` in params.yaml to its path"
        ) from None


def _download(published: Published, target: Path) -> None:
    with urllib.request.urlopen(published.url, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as file:
        size = int(response.headers.get("Content-Length", 0))
        with wrap_file(response, size, description=f"fetching {published.name}") as stream:
            shutil.copyfileobj(stream, file)
