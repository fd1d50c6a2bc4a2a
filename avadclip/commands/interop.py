"""``avadclip import-features``, ``export-features`` and ``import-checkpoint``: the authors' files, in and out."""

from pathlib import Path
from typing import Annotated

import typer

from avadclip import config

ParamsFile = Annotated[Path, typer.Option("--params", help="Parameter file.")]


def import_features(
    visual: Annotated[Path, typer.Option(help="Folder of <id>__<view>.npy, searched recursively.")],
    audio: Annotated[Path, typer.Option(help="Folder of <id>.npy, searched recursively.")],
    annotations: Annotated[Path, typer.Option(help="Folder `list` of the authors' repository.")],
    dataset: Annotated[str, typer.Option(help="Name of the new data set.")],
    alone: Annotated[
        bool, typer.Option("--alone", help="Drop other data sets, and detectors that are trained.")
    ] = False,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Make a data set of the authors' released features: links, lists, and a block of params.yaml."""
    from avadclip.interop.import_features import adopt_features

    found = adopt_features(dataset, visual, audio, annotations, params, alone)
    typer.echo(
        f"{params}: datasets.{dataset} holds {found.n_train} training and {found.n_test} test videos,"
        f" {found.n_files} files; `dvc repro` imports them"
    )


def export_features(
    dataset: Annotated[str, typer.Argument(help="A data set with features.")],
    out: Annotated[Path, typer.Option(help="Folder for visual/, audio/ and list/.")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Write the features of a data set as .npy files and lists in the authors' layout."""
    from avadclip.interop.export_features import export_features as export

    config.load(params).dataset(dataset)  # refuses an unknown name
    written = export(dataset, out)
    typer.echo(f"{out}: {written.n_videos} videos, {written.n_files} files, and their lists")


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="A released .pth file.")],
    dataset: Annotated[str, typer.Option(help="The data set whose features it is to score.")],
    variant: Annotated[str, typer.Option(help="Name of the detector in params.yaml.")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Check the authors' checkpoint of a detector, and enter it into params.yaml, pinned by its hash."""
    from avadclip.interop.checkpoints.register import register_checkpoint

    found = register_checkpoint(checkpoint, dataset, variant, params)
    typer.echo(f"{params}: train.{variant} is a {found.what}, sha256 {found.sha256[:12]}...")


COMMANDS = (import_features, export_features, import_checkpoint)
