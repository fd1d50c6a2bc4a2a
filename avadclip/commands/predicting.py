"""The work of ``avadclip predict``; not in the command's own file, because its imports take half a second."""

from functools import partial
from pathlib import Path

import typer
from rich.markup import escape
from rich.progress import Progress, TaskID

from avadclip import config
from avadclip.config.features import Extraction
from avadclip.errors import AvadclipError, PredictionError, refused_write
from avadclip.prediction.document import UNLIKE_TRAINING, Prediction
from avadclip.prediction.kept import Kept, refuse_others
from avadclip.prediction.naming import Inputs, find_videos, readable
from avadclip.prediction.predictor import Predictor
from avadclip.prediction.writing import MadeBy, write_predictions
from avadclip.progress import rate_progress
from avadclip.report.page import PageVideo, clear_page, write_page
from avadclip.report.payload import time_axis
from avadclip.report.sound_strip import draw_sound_in_steps
from avadclip.store.work_cache import WorkCache


def predict_videos(
    videos: list[str], model: Path, out: Path, device: str, from_cache: bool, params: Path | None
) -> int:
    """Run ``avadclip predict``; return the exit code."""
    inputs = find_videos(videos, out.resolve())
    refuse_others(out, inputs.videos)
    for line in inputs.passed_over:
        typer.echo(_printable(line), err=True)
    settings = Extraction() if params is None else config.load(params).extraction
    _make_folder(out)
    cache = WorkCache(Path(settings.work_cache)) if from_cache else None
    with Predictor(model, device, settings=settings, cache=cache) as predictor:
        kept = Kept(out, predictor.identity)
        clear_page(out)
        predictions, failures = _predict_all(predictor, inputs, kept)
        made_by = MadeBy(
            folder=readable(model),
            dataset=predictor.description.dataset,
            detector=predictor.description.detector,
            student=predictor.description.student,
            alarm_branch=predictor.alarm.branch,
            alarm_threshold=predictor.alarm.threshold,
        )
    write_predictions(out, predictions, failures, made_by)
    if predictions:
        pages = [_page_video(prediction, inputs.videos[prediction.id], kept) for prediction in predictions]
        write_page(out, pages, title=f"Predictions of {made_by.dataset}")
    _summarise(predictions, failures, out)
    return 1 if failures else 0


def _predict_all(predictor: Predictor, inputs: Inputs, kept: Kept) -> tuple[list[Prediction], dict[str, str]]:
    """Write each video's results as soon as it is done; what a stopped run has finished is not done again."""
    done, predictions, failures = kept.begin(inputs.videos), [], dict(inputs.failures)
    if done:
        typer.echo(f"{len(done)} of {len(inputs.videos)} videos were already done by this model: {kept.folder}")
    with rate_progress() as progress:
        for video_id, path in inputs.videos.items():
            bar = progress.add_task(escape(_printable(video_id)), total=None, unit="snippets")
            prediction = done.get(video_id)
            try:
                if prediction is None:
                    status = path.stat()
                    advance = partial(_advance, progress, bar)
                    prediction = predictor.predict(path, video_id=video_id, on_progress=advance)
                    kept.put(prediction, path, status)
                else:
                    progress.update(bar, total=1, completed=1)
            except (AvadclipError, OSError) as error:
                if isinstance(error, OSError) and error.filename != str(path) and refused_write(error) is not None:
                    raise  # results can no longer be kept
                failures[readable(path)] = readable(str(error))
                progress.update(bar, description=f"[red]{escape(_printable(video_id))}: failed[/]", total=1)
            else:
                predictions.append(prediction)
                _draw_sound(predictor, prediction, path, kept)
    return predictions, failures


def _draw_sound(predictor: Predictor, prediction: Prediction, path: Path, kept: Kept) -> None:
    """Draw the sound for the page; if that fails, only the drawing is missing."""
    if not prediction.has_audio or kept.strip(prediction.id) is not None:
        return
    start, end = (seconds + prediction.clock_start_seconds for seconds in time_axis(prediction))
    try:
        strip = predictor.in_worker(partial(draw_sound_in_steps, path.absolute(), start, end), path)
    except PredictionError as error:
        typer.echo(_printable(f"{error}; the page shows it without its sound"), err=True)
    else:
        kept.put_strip(prediction.id, strip)


def _page_video(prediction: Prediction, path: Path, kept: Kept) -> PageVideo:
    return PageVideo(prediction, path if path.is_file() else None, kept.strip(prediction.id))


def _make_folder(out: Path) -> None:
    """Make the folder at once, so that an error does not come after hours."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise PredictionError(
            f"--out: {out}: cannot be made or used as a folder: {error.strerror}; name another"
        ) from None


def _advance(progress: Progress, bar: TaskID, done: int, total: int) -> None:
    progress.update(bar, completed=done, total=total)


def _summarise(predictions: list[Prediction], failures: dict[str, str], out: Path) -> None:
    for prediction in sorted(predictions, key=lambda prediction: -prediction.alarm):
        listed = ", ".join(f"{s.label} {s.start_seconds:.1f}-{s.end_seconds:.1f} s" for s in prediction.segments)
        found = f"{prediction.path}: {prediction.alarm:.2f} ({_circumstances(prediction)}): {listed or 'no alarm'}"
        typer.echo(_printable(found))
    for path, reason in failures.items():
        typer.echo(_printable(f"failed: {reason if path in reason else f'{path}: {reason}'}"), err=True)
    page = f", to look at: {out / 'report.html'}" if predictions else ""
    written = f"{len(predictions)} of {len(predictions) + len(failures)} videos: {out / 'predictions.json'}{page}"
    typer.echo(_printable(written))


def _circumstances(prediction: Prediction) -> str:
    """Which detector decided, and what a reader should know about the video."""
    words = [prediction.decided_by] + ["no sound"] * (not prediction.has_audio)
    if prediction.is_unlike_training:
        words.append(UNLIKE_TRAINING)
    if prediction.distance_from_training is not None:
        words.append(f"distance {prediction.distance_from_training:.2f}")
    return ", ".join(words)


def _printable(text: str) -> str:
    """A text without control characters, which file names may contain."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in readable(text)
    )
