"""``avadclip predict``: videos -> predictions, subtitles and a page to look at."""

from pathlib import Path
from typing import Annotated

import typer


def predict(
    videos: Annotated[list[str], typer.Argument(help="Files, folders, or patterns in quotes.")],
    model: Annotated[Path, typer.Option(help="Model folder, for example runs/demo.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<number>.")] = "auto",
    from_cache: Annotated[
        bool, typer.Option("--from-cache", help="Take features from the work cache, and keep new ones there.")
    ] = False,
    params: Annotated[
        Path | None, typer.Option(help="Parameter file whose section `extraction` says where the work cache is.")
    ] = None,
) -> None:
    """Find what happens when in videos: predictions.json, segments.csv, subtitles, and a page. Exit 1 on a failure.

    Where there is sound the audio-visual detector decides, where there is none the visual one.
    """
    from avadclip.commands.predicting import predict_videos

    raise typer.Exit(predict_videos(videos, model, out, device, from_cache, params))
