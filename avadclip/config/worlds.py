"""Section ``worlds.<data set>``: videos that the project renders itself, for trying everything without a download."""

from typing import Annotated

from pydantic import Field

from avadclip.config.base import Section


class World(Section):
    """One rendered data set; the same numbers give the same videos."""

    seed: Annotated[int, Field(ge=0)]
    n_train: Annotated[int, Field(ge=1)]  # videos
    n_test: Annotated[int, Field(ge=1)]  # videos
