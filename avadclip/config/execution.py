"""Section ``execution``: where extraction and scoring run. No key here is part of a recipe or tracked by a stage."""

from typing import Annotated, Literal

from pydantic import Field

from avadclip.config.base import Section


class Execution(Section):
    """This machine, or a Ray cluster. Features and scores are the same bytes either way."""

    engine: Literal["local", "ray"] = "local"  # `ray` needs `pip install '.[cluster]'`
    address: str = "auto"  # of the cluster: host:port, `auto` for the one of this machine, `local` starts one here
    workers: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"  # at most this many encoders at a time
    # `auto`: where there are GPUs, one each, and an equal share of their node's cores; else all cores of a node.
    cpus_per_worker: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    gpus_per_worker: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    retries: Annotated[int, Field(ge=0)] = 1  # for a video whose worker died
    store: Literal["shared", "driver"] = "shared"  # `driver`: workers cannot write into `extraction.work_cache`
