"""``avadclip predict``: videos -> predictions, subtitles and a page."""

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

    The audio-visual detector decides if there is sound, and the visual one if there is none.
    """
    from avadclip.commands.predicting import predict_videos

    raise typer.Exit(predict_videos(videos, model, out, device, from_cache, params))
