"""The results of each video, kept as soon as it is done, so that a run that was stopped can be continued.

In the folder of results, ``<id>.vtt`` has the subtitles of a video, and ``predictions/`` has what the next run needs:
``<id>.json``, the prediction with all digits and what it was made from, and ``<id>.png``, its sound for the page.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import stat_result
from pathlib import Path
from typing import Any

from avadclip.errors import PredictionError
from avadclip.io import replacing
from avadclip.prediction.document import Prediction
from avadclip.prediction.naming import readable
from avadclip.prediction.results import KEPT, PREDICTIONS, SEGMENTS
from avadclip.prediction.subtitles import to_vtt
from avadclip.prediction.writing import SEGMENTS_HEADER

FORMAT = "avadclip-prediction/1"


@dataclass(frozen=True)
class Kept:
    """The results of single videos in a folder.

    Attributes
    ----------
    folder : of all results.
    made_by : identity of the model, see :attr:`avadclip.prediction.predictor.Predictor.identity`.
    """

    folder: Path
    made_by: str

    def begin(self, videos: Mapping[str, Path]) -> dict[str, Prediction]:
        """Predictions of those of these videos (id -> file) that are done; other files of earlier runs are removed.

        A video is done if the same model predicted it under the same name, and its file has not changed since.
        """
        done = {}
        (self.folder / KEPT).mkdir(exist_ok=True)  # from now on, what is here is ours, see `refuse_others`
        for file in sorted((self.folder / KEPT).glob("*.json")):
            content = _read(file)
            if content is None:
                continue  # not a file of such a run
            path = videos.get(file.stem)
            found = None if path is None else self._prediction(content, path)
            if found is None:
                self._forget(file.stem)
            else:
                done[file.stem] = found
        for name in (PREDICTIONS, SEGMENTS):
            (self.folder / name).unlink(missing_ok=True)
        return done

    def put(self, prediction: Prediction, path: Path, status: stat_result) -> None:
        """Keep the prediction of a file; `status` is its state before it was read."""
        exact = {**prediction.to_json(), "boundary_seconds": prediction.boundary_seconds.tolist()}
        content = {"format": FORMAT, "made_from": self._made_from(path, status), "video": exact}
        _write(self.folder / f"{prediction.id}.vtt", to_vtt(prediction).encode())
        self._file(prediction.id, "png").unlink(missing_ok=True)
        # Last, because it marks the results as complete.
        _write(self._file(prediction.id, "json"), json.dumps(content, allow_nan=False).encode())

    def put_strip(self, video_id: str, strip: bytes) -> None:
        """Keep the picture of a video's sound."""
        _write(self._file(video_id, "png"), strip)

    def strip(self, video_id: str) -> bytes | None:
        """The picture of a video's sound, if it was drawn."""
        file = self._file(video_id, "png")
        return file.read_bytes() if file.is_file() else None

    def _prediction(self, content: Mapping[str, Any], path: Path) -> Prediction | None:
        try:
            if content["made_from"] != self._made_from(path, path.stat()):
                return None
            return Prediction.from_json(content["video"])
        except (OSError, KeyError, TypeError, ValueError):  # the file is gone, or its result is damaged
            return None

    def _made_from(self, path: Path, status: stat_result) -> dict[str, Any]:
        return {
            "model": self.made_by,
            "path": readable(path),
            "place": readable(path.absolute()),
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
        }

    def _file(self, video_id: str, ending: str) -> Path:
        return self.folder / KEPT / f"{video_id}.{ending}"

    def _forget(self, video_id: str) -> None:
        for file in (self._file(video_id, "json"), self._file(video_id, "png"), self.folder / f"{video_id}.vtt"):
            file.unlink(missing_ok=True)


def refuse_others(folder: Path, video_ids: Iterable[str]) -> None:
    """Refuse a folder for the results in which files of somebody else would be replaced, such as labels of the videos.

    Raises
    ------
    PredictionError : names such a file.
    """
    for name in (PREDICTIONS, SEGMENTS, *(f"{video_id}.vtt" for video_id in video_ids)):
        file = folder / name
        if file.exists() and not ((folder / KEPT).is_dir() and (name != SEGMENTS or _is_table_of_ours(file))):
            raise PredictionError(
                f"--out: {file}: is there already, was not written by `avadclip predict` and would be replaced; name"
                " another folder"
            )


def _is_table_of_ours(file: Path) -> bool:
    # Labels may be put beside the videos later, even where results are.
    return file.is_file() and file.read_bytes().startswith(",".join(SEGMENTS_HEADER).encode())


def _read(file: Path) -> dict[str, Any] | None:
    """The content of a file that :meth:`Kept.put` wrote; None for any other."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def _write(file: Path, content: bytes) -> None:
    # Not flushed to the disk: there may be thousands, and after a power cut a video is predicted again.
    with replacing(file, flush=False) as temporary:
        temporary.write_bytes(content)
