"""The variants of every study in benchmarks/quality.py are valid in params.yaml."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from avadclip.detectors.registry import settings_of
from benchmarks.quality_variants import STUDIES

SHIPPED: dict[str, Any] = YAML(typ="safe").load(Path(__file__).parents[2] / "params.yaml")["train"]


@pytest.mark.parametrize("has_sound", [True, False])
@pytest.mark.parametrize("study", STUDIES)
def test_every_variant_has_settings_that_no_other_one_has(study: str, has_sound: bool) -> None:
    found = STUDIES[study](SHIPPED, has_sound)
    settings = {}
    for name, section in found.items():
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name), name  # it is part of paths and commands
        values = {key: value for key, value in section.items() if key != "kind"}
        settings[name] = section["kind"], settings_of(section["kind"], values, name).model_dump_json()
    assert len(set(settings.values())) == len(found)
    if not has_sound and study.startswith("switches"):
        assert not any("audio" in section.get("modalities", ()) for section in found.values())
