"""Sections ``datasets.<name>.selection`` (which round of training is kept) and ``compute`` (on which device)."""

from typing import Annotated, Literal

from pydantic import Field

from avadclip.config.base import Section


class Selection(Section):
    """How a data set chooses the round of training whose weights are kept."""

    # `validation`: the round that is best on held-out training videos. `ranking`: training on all videos stops after
    # the number of rounds that ranked held-out snippets and videos best (avadclip.training.cross_validation), except
    # for variants with a teacher. `released_test_selected` chooses on the test videos, as the authors do, and is
    # reported wherever its numbers appear.
    by: Literal["validation", "ranking", "last", "released_test_selected"] = "validation"
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1  # of the training videos; used by `validation` only
    folds: Annotated[int, Field(ge=2)] = 2  # of the training videos; used by `ranking` and `recipe.calibrate` only


class Compute(Section):
    """What training runs on. Results do not depend on these keys."""

    device: str = "auto"  # auto | cpu | cuda | cuda:1 ...
    memory_gib: Annotated[float, Field(gt=0)] = 16.0  # more features than this are memory-mapped from a temporary file
