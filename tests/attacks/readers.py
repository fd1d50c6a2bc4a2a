"""Every reader of bytes that somebody else may have written, with an intact file for each."""

import io
import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import safetensors.numpy
import torch

from avadclip import config, store
from avadclip.datasets import annotation_text
from avadclip.datasets.arrays import read_array
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.released_files import load_rows
from avadclip.datasets.released_lists import TEST_LIST, read_lists
from avadclip.detectors.description import FILE, read_description
from avadclip.encoders.torchscript import read_torchscript
from avadclip.encoders.weights import DAMAGED
from avadclip.errors import AvadclipError
from avadclip.interop.checkpoints.state_dict import read_tensors
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe
from avadclip.report.footage import Footage, read_footage, write_footage
from avadclip.scoring import scores
from tests.golden.clips import FOLDER as CLIPS

OURS = Path(__file__).parents[2] / "params.yaml"


@dataclass(frozen=True)
class Reader:
    """A function that reads a file of this name, and one that returns the bytes of an intact file."""

    name: str
    read: Callable[[Path], object]
    whole: Callable[[], bytes]
    expected: tuple[type[Exception], ...] = (AvadclipError,)


def written(write: Callable[[Path], object]) -> Callable[[], bytes]:
    """Return a function that gives the bytes of the file that `write` writes."""

    def whole() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "a.h5")
            return (Path(folder) / "a.h5").read_bytes()

    return whole


def _features() -> store.Features:
    source = store.Source("v", "0" * 64, 8, 25.0)
    return store.Features(source, {"a": 1}, np.ones((1, 2, 8), "f2"), np.ones(2, bool), np.arange(3.0), "none")


def _scores() -> scores.Scores:
    made_by = scores.Provenance("d", "v", "d", 0, ("visual",), "last", ("normal", "riot"), 16)
    video = scores.VideoScores("v", "visual", np.zeros(3, "f4"), np.zeros((3, 2), "f4"))
    return scores.collect(made_by, [video])


def _saved(save_: Callable[[io.BytesIO], object]) -> Callable[[], bytes]:
    def whole() -> bytes:
        file = io.BytesIO()
        save_(file)
        return file.getvalue()

    return whole


def _decode(path: Path) -> None:
    info = probe(path)
    for _ in decode_frames(path, info, np.arange(0, info.n_frames, 4), "pyav", n_threads=1):
        pass
    if info.has_audio:
        for _ in decode_windows(path, info.frame_seconds[::4], 0.1, sound=info.sound):
            pass


def _clip(name: str) -> Reader:
    return Reader(name, _decode, lambda: (CLIPS / name).read_bytes())


def _text(text: str) -> Callable[[], bytes]:
    return lambda: text.encode()


def _write_array(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = ARRAY


ARRAY = np.ones((2, 4), "f4")
MANIFEST = "id,path,split,labels,n_frames,frame_rate,has_audio,content_hash,excluded\nv,v.mp4,test,a|b,8,25.0,true,"
DESCRIPTION = {
    **{"format": 2, "dataset": "d", "variant": "v", "kind": "deep_mil", "settings": {}, "modalities": ["visual"]},
    **{"dimensions": {}, "classes": ["normal", "riot"], "recipes": {"visual": {"a": 1}}, "text_tower": None},
    **{"selection": "last", "round": 1, "seed": 0, "imported": None},
}
READERS: dict[str, Reader] = {
    "features": Reader("a.h5", store.read, written(lambda path: store.write(path, _features()))),
    "scores": Reader(
        "a.h5",
        lambda path: (scores.read_refusal(path), scores.read(path)),
        written(lambda path: scores.write(path, _scores())),
    ),
    "footage": Reader(
        "a.h5",
        read_footage,
        written(lambda path: write_footage(path, Footage({"v": np.arange(9.0)}, {"v": "1.mp4"}, {"v": b"png"}))),
    ),
    **{
        f"array{suffix}": Reader(f"a{suffix}", read_array, whole)
        for suffix, whole in {
            ".npy": _saved(lambda file: np.save(file, ARRAY)),
            ".npz": _saved(lambda file: np.savez_compressed(file, a=ARRAY)),
            ".h5": written(_write_array),
            ".csv": _text("1,2.5\n-3e8,4\n"),
            ".safetensors": lambda: safetensors.numpy.save({"a": ARRAY}),
        }.items()
    },
    "npy": Reader("a.npy", load_rows, _saved(lambda file: np.save(file, np.ones((2, 4), "f2")))),
    "checkpoint": Reader("a.pth", read_tensors, _saved(lambda file: torch.save({"a": torch.ones(3)}, file))),
    "torchscript": Reader(
        "a.pt",
        read_torchscript,
        _saved(lambda file: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)),  # type: ignore[no-untyped-call]
        (*DAMAGED, pickle.UnpicklingError),
    ),
    "params": Reader("params.yaml", config.load, lambda: OURS.read_bytes()),
    "manifest": Reader("manifest.csv", read_manifest, _text(f"{MANIFEST}{'0' * 64},\n")),
    "ground_truth": Reader("a.csv", read_ground_truth, _text("id,label,start_frame,end_frame\nv,riot,1,5\n")),
    "annotations": Reader("a.txt", annotation_text.read_labelled_spans, _text("v B1 1 5 B2 7 9\nw G 0 3\n")),
    "lists": Reader(
        TEST_LIST, lambda path: read_lists(path.parent), _text("path,audio_path,label\n/x/v__5.npy,/y/v.npy,B1-0-0\n")
    ),
    "description": Reader(FILE, lambda path: read_description(path.parent), _text(json.dumps(DESCRIPTION))),
    **{name: _clip(name) for name in ("h264-b-frames.mp4", "vp9.webm", "mpeg4.avi", "h264.ts", "wmv2.wmv")},
}


def survives(reader: Reader, content: bytes, folder: Path) -> Exception | None:
    """Read a file, and return its error unless that is an expected one."""
    path = folder / reader.name
    path.write_bytes(content)
    try:
        reader.read(path)
    except reader.expected:
        return None
    except Exception as error:  # these are looked for
        return error
    return None
