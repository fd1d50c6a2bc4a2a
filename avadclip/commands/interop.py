"""``avadclip add-videos`` for your own videos; ``import-features`` and others for what authors released."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from avadclip import config
from avadclip.config.features import Modality
from avadclip.errors import DatasetError

if TYPE_CHECKING:
    from avadclip.interop.declared import Declared
    from avadclip.interop.released_layouts import ReleasedLists

T = TypeVar("T")
ParamsFile = Annotated[Path, typer.Option("--params", help="Parameter file.")]


def import_features(
    annotations: Annotated[
        Path, typer.Option(help="Folder of videos.csv and segments.csv; or `list` of the authors' repository.")
    ],
    dataset: Annotated[str, typer.Option(help="Name of the new data set.")],
    visual: Annotated[Path | None, typer.Option(help="Folder of <id>.npy or <id>__<view>.npy, searched.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Folder of <id>.npy, searched recursively.")] = None,
    stride: Annotated[int | None, typer.Option(help="Frames from one snippet to the next.")] = None,
    frame_rate: Annotated[float | None, typer.Option(help="Frames per second of the videos.")] = None,
    views_axis: Annotated[
        int | None, typer.Option(min=0, max=1, help="1 if arrays are [n, views, width], not [views, n, width].")
    ] = None,
    visual_extractor: Annotated[str | None, typer.Option(help="What made the visual features, in words.")] = None,
    audio_extractor: Annotated[str | None, typer.Option(help="What made the audio features, in words.")] = None,
    text_tower: Annotated[str | None, typer.Option(help="A CLIP that reads the class names, by its name.")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Drop other data sets; with the authors' files, trained detectors too.")
    ] = False,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Make a data set from features that exist already: links, tables, and a block of params.yaml.

    They are of any extractor if `annotations` has a videos.csv, of VadCLIP or XD-Violence if it has their lists, else
    of AVadCLIP.
    """
    from avadclip.interop.declared import Declared
    from avadclip.interop.import_features import adopt_features
    from avadclip.interop.released_layouts import read_released_lists

    if not annotations.is_dir():
        wrong = "is a file" if annotations.exists() else "no such folder"
        raise DatasetError(f"{annotations}: {wrong}; name the folder of videos.csv as --annotations (docs/features.md)")
    folders = _given(visual, audio)
    declared = Declared(stride, frame_rate, _given(visual_extractor, audio_extractor), text_tower, views_axis)
    if (annotations / "videos.csv").is_file():
        _import_arrays(folders, annotations, dataset, declared, None, alone, params)
        return
    if (lists := read_released_lists(annotations)) is not None:
        with TemporaryDirectory() as tables:
            lists.write_tables(Path(tables))
            _import_arrays(folders, Path(tables), dataset, declared, lists, alone, params)
        return
    if visual is None or audio is None:
        raise DatasetError(
            f"{annotations}: there is no videos.csv (docs/features.md), so these are the authors' files; name --visual"
            " and --audio"
        )
    found = adopt_features(dataset, visual, audio, annotations, params, alone)
    typer.echo(
        f"{params}: datasets.{dataset} has {found.n_train} training and {found.n_test} test videos,"
        f" {found.n_files} files; `dvc repro` imports them"
    )


def _given(visual: T | None, audio: T | None) -> dict[Modality, T]:
    options: dict[Modality, T | None] = {"visual": visual, "audio": audio}
    return {modality: option for modality, option in options.items() if option is not None}


def _import_arrays(
    folders: Mapping[Modality, Path],
    annotations: Path,
    dataset: str,
    declared: "Declared",
    lists: "ReleasedLists | None",
    alone: bool,
    params: Path,
) -> None:
    from avadclip.interop.declared import USUAL, Declared
    from avadclip.interop.import_arrays import adopt_arrays

    if not folders:
        raise DatasetError("no features: give their folder as --visual, --audio, or both")
    names, usual = None, USUAL
    if lists is not None:
        names = lists.files
        usual = Declared(lists.stride, lists.frame_rate, lists.extractors, lists.text_tower).or_else(USUAL)
        if unlisted := sorted(folders.keys() - names.keys()):
            raise DatasetError(f"--{unlisted[0]}: the lists name no such files; leave it out")
    found = adopt_arrays(dataset, folders, annotations, declared, params, alone, names, usual)
    typer.echo(
        f"{params}: datasets.{dataset} has {found.n_train} training and {found.n_test} test videos,"
        f" {found.n_files} files; `dvc repro` imports them"
    )
    for variant, reason in found.untrained.items():
        typer.echo(f"not trained there: {variant}: {reason}")
    if found.added is not None:
        typer.echo(f"{params}: train.{found.added}: added, because no other detector takes such features")


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
    dataset: Annotated[str, typer.Option(help="The data set whose features it will score.")],
    variant: Annotated[str, typer.Option(help="Name of the detector in params.yaml.")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Check the authors' checkpoint of a detector, and add it to params.yaml, pinned by its hash."""
    from avadclip.interop.checkpoints.register import register_checkpoint

    found = register_checkpoint(checkpoint, dataset, variant, params)
    typer.echo(f"{params}: train.{variant} is a {found.what}, sha256 {found.sha256[:12]}...")


def add_videos(
    dataset: Annotated[str, typer.Argument(help="Name of the new data set.")],
    videos: Annotated[Path, typer.Argument(help="Folder of your videos; they stay there.")],
    labels: Annotated[
        Path | None,
        typer.Option(help="Table with the header video,labels; default: videos.csv, or the folder's only CSV."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="Data set whose encoders and training settings are used; default: the published ones."),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Remove the other data sets from the parameter file.")] = False,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Make a data set from your own videos: links to your tables, and a block of params.yaml."""
    from avadclip.interop.add_videos import add_videos as add

    found = add(dataset, videos, labels, like, params, alone)
    for note in found.notes:
        typer.echo(f"{params}: datasets.{dataset}.{note}")
    typer.echo(
        f"{params}: datasets.{dataset} has {found.n_train} training and {found.n_test} test videos of the classes"
        f" {', '.join(found.classes)}; `dvc repro` makes a model from them"
    )


COMMANDS = (add_videos, import_features, export_features, import_checkpoint)
