"""``avadclip add-videos`` for videos of one's own; ``import-features`` and the like for what the authors released."""

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
    """Check a released checkpoint and enter it into params.yaml as a detector, pinned by its hash."""
    from avadclip.interop.checkpoints.register import register_checkpoint

    found = register_checkpoint(checkpoint, dataset, variant, params)
    typer.echo(f"{params}: train.{variant} is a {found.role} of the release, sha256 {found.sha256[:12]}...")


def add_videos(
    dataset: Annotated[str, typer.Argument(help="Name of the new data set.")],
    videos: Annotated[Path, typer.Argument(help="Folder of your videos; they stay there.")],
    labels: Annotated[
        Path | None,
        typer.Option(help="Table with the header video,labels; default: videos.csv, or the folder's only CSV."),
    ] = None,
    like: Annotated[
        str | None, typer.Option(help="Data set whose encoders and training are taken; default: the published ones.")
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Drop other data sets from the parameter file.")] = False,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Make a data set of your own videos: links to your tables, and a block of params.yaml."""
    from avadclip.interop.add_videos import add_videos as add

    found = add(dataset, videos, labels, like, params, alone)
    for note in found.notes:
        typer.echo(f"{params}: datasets.{dataset}.{note}")
    typer.echo(
        f"{params}: datasets.{dataset} holds {found.n_train} training and {found.n_test} test videos of the classes"
        f" {', '.join(found.classes)}; `dvc repro` makes a model of them"
    )


COMMANDS = (add_videos, import_features, export_features, import_checkpoint)
