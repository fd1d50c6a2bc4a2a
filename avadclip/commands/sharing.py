"""``avadclip features extract``, ``merge`` and ``compare``: features from several machines, and from elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from avadclip import config
from avadclip.errors import ExtractionError

ParamsFile = Annotated[Path, typer.Option("--params", help="Parameter file.")]


def extract(
    dataset: Annotated[str, typer.Argument(help="A data set of the parameter file.")],
    part: Annotated[str, typer.Option(help="Which part of the videos: 1/2 or 2/2, for example.")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Encode one part of a data set, visual and audio, into the work cache only, for merging elsewhere.

    Needs the manifest and the videos of this part. Exit 1 if some of them failed.
    """
    from avadclip.extraction.run import Part, extract_part

    share = Part.parse(part)
    loaded = config.load(params)
    failures = []
    for modality in loaded.dataset(dataset).modalities:
        try:
            typer.echo(str(extract_part(dataset, modality, loaded, share)))
        except ExtractionError as error:  # a failure in one modality does not stop the other
            failures.append(str(error))
    if failures:
        raise ExtractionError("\n".join(failures))


def merge(
    sources: Annotated[list[Path], typer.Argument(help="Work caches or folders of features, from anywhere.")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Copy features that the current parameters and manifests need into the work cache: `dvc repro` then skips them.

    Every file is read and checked before the first is copied. Nothing is copied if one is damaged, made with another
    recipe or from another version of its video, or if there are two different files for one video.
    """
    from avadclip.extraction.modalities import recipes
    from avadclip.store.merge import merge_features
    from avadclip.store.work_cache import WorkCache

    loaded = config.load(params)
    cache = WorkCache(Path(loaded.extraction.work_cache))
    typer.echo(f"{cache.folder}: {merge_features(sources, cache, recipes(loaded))}")


def compare(
    a: Annotated[str, typer.Argument(help="A data set, a folder of features, or a folder of arrays.")],
    b: Annotated[str, typer.Argument(help="Another one, of the same videos.")],
    modality: Annotated[str, typer.Option(help="Modality of data sets: visual or audio.")] = "visual",
    search: Annotated[bool, typer.Option("--search", help="Search for what turns A into B.")] = False,
) -> None:
    """Compare two sets of features of the same videos, snippet by snippet.

    With --search, A may have been extracted with a smaller stride. The result is which frame of each snippet, or their
    mean, and which view, offset and normalisation are nearest to B.
    """
    from avadclip.store import compare as comparing
    from avadclip.store.feature_set import open_set

    sets = open_set(a, modality), open_set(b, modality)
    found = comparing.search(*sets) if search else comparing.compare(*sets)
    for line in comparing.lines(found, a, b):
        typer.echo(line)
