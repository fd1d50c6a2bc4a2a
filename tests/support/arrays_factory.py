"""Features as extractors leave them: one file a video, in every format that is read. Seeded, small, random."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import save_file

TRAIN = {"fight.1": 5, "fight#2": 9, "walk 1": 7, "walk2": 4}  # id -> snippets
TEST = {"fight3": 6, "walk3": 8}
VIDEOS = """video,labels,split
fight.1.mp4,fighting,train
fight#2.mp4,fighting|riot,train
walk 1.mp4,normal,train
walk2.mp4,normal,train
fight3.mp4,fighting,test
walk3.mp4,normal,test
"""
SEGMENTS = "video,label,start_snippet,end_snippet\nfight3,fighting,1,3\n"


def write_array(path: Path, values: np.ndarray, name: str = "features") -> None:
    """Write one array in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix.lower():
        case ".npy":
            with path.open("wb") as file:  # numpy would add a suffix of its own
                np.save(file, values)
        case ".npz":
            with path.open("wb") as file:
                np.savez_compressed(file, **{name: values})
        case ".h5" | ".hdf5":
            with h5py.File(path, "w") as archive:
                archive.create_dataset(f"of/{name}", data=values)
        case ".csv":
            np.savetxt(path, values, delimiter=",", fmt="%.17g")
        case ".safetensors":
            save_file({name: np.ascontiguousarray(values)}, path)
        case suffix:
            raise ValueError(suffix)


def write_dataset(
    folder: Path, widths: Mapping[str, int], suffix: str = ".npy", videos: str = VIDEOS, segments: str = SEGMENTS
) -> dict[str, dict[str, np.ndarray]]:
    """Write ``visual``, ``audio`` and the tables; return the values that were written, by modality and id."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, dict[str, np.ndarray]] = {}
    for modality, width in widths.items():
        written[modality] = {id_: rng.normal(size=(n, width)) for id_, n in (TRAIN | TEST).items()}
        for id_, values in written[modality].items():
            write_array(folder / modality / f"{id_}{suffix}", values)
    (folder / "videos.csv").write_text(videos)
    (folder / "segments.csv").write_text(segments)
    return written
