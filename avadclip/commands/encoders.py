"""``avadclip train-audio-encoder``: a Wav2CLIP from your own unlabelled videos."""

from pathlib import Path
from typing import Annotated

import typer

from avadclip import config
from avadclip.errors import ConfigError


def train_audio_encoder(
    dataset: Annotated[str, typer.Argument(help="A data set of the parameter file; its visual features must exist.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, ending in .safetensors.")],
    width: Annotated[int, typer.Option(help="Channels of the first stage; 64 is the published network.", min=8)] = 64,
    moments: Annotated[int, typer.Option(help="Snippets to learn from, at most.", min=1)] = 100_000,
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    batch_size: Annotated[int, typer.Option(min=2)] = 128,
    learning_rate: Annotated[float, typer.Option()] = 1e-3,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    params: Annotated[Path, typer.Option("--params", help="Parameter file.")] = Path("params.yaml"),
) -> None:
    """Train an audio encoder on the training videos of a data set: it learns CLIP's features, without labels."""
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out: expected a name that ends in .safetensors, found {out}")
    loaded = config.load(params)
    loaded.dataset(dataset)  # refuses an unknown name before torch is loaded
    from avadclip.device import resolve_device
    from avadclip.pretraining.loop import Settings
    from avadclip.pretraining.own_videos import train_on_own_videos

    settings = Settings(seed, epochs, batch_size, learning_rate)
    device = resolve_device(loaded.compute.device)
    digest = train_on_own_videos(dataset, loaded, width, moments, settings, device, out)
    typer.echo(f"write this into params.yaml, under datasets.{dataset}.audio:")
    typer.echo(f"      width: {width}\n      weights:\n        path: {out}\n        sha256: {digest}")
