"""``avadclip choose``: which variant generalises best, from training videos alone."""

from pathlib import Path
from typing import Annotated

import typer

from avadclip import config
from avadclip.config.variants import Variant
from avadclip.errors import ConfigError


def choose(
    dataset: Annotated[str, typer.Argument(help="A data set of the parameter file, with its features.")],
    variants: Annotated[list[str] | None, typer.Argument(help="Of section `train`; default: all.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the training videos, each held out once.")] = 4,
    params: Annotated[Path, typer.Option("--params", help="Parameter file.")] = Path("params.yaml"),
) -> None:
    """Cross-validate variants on the training videos and their labels; test videos are not used.

    `when` ranks the highest snippets of held-out anomalous videos against all held-out normal snippets: choose by it.
    `whether` is the AUC over held-out videos. Differences below 0.02 mean nothing.
    """
    from avadclip.training.cross_validation import cross_validate
    from avadclip.training.preparation import Run

    loaded = config.load(params)
    section = loaded.dataset(dataset)
    names = variants or [name for name, variant in loaded.train.items() if isinstance(variant, Variant)]
    found = {}
    for name in names:
        variant = loaded.train.get(name)
        if not isinstance(variant, Variant):
            trained = ", ".join(key for key, each in loaded.train.items() if isinstance(each, Variant))
            raise ConfigError(
                f"params.yaml: train.{name}: not a variant that is trained from labels; there are: {trained}"
            )
        run = Run(dataset, section, name, variant, f"train.{name}", loaded.seeds[0])
        found[name] = cross_validate(run, loaded.compute, folds)[-1]["classification"]
        typer.echo(f"{name:24} when {found[name].ranking():.3f}  whether {found[name].whether():.3f}")
    if len(found) > 1:
        typer.echo(f"highest `when`: {max(found, key=lambda name: found[name].ranking())}")
