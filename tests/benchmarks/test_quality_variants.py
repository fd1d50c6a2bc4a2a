"""The variants of every study in benchmarks/quality.py are valid in params.yaml."""

import re
from typing import Any

import pytest

from avadclip.detectors.registry import settings_of
from benchmarks import zoo_page
from benchmarks.quality_variants import STUDIES


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    train: dict[str, Any] = zoo_page.write_parameters(tmp_path_factory.mktemp("project") / "params.yaml")["train"]
    return train


@pytest.mark.parametrize("has_sound", [True, False])
@pytest.mark.parametrize("study", STUDIES)
def test_every_variant_has_settings_that_no_other_one_has(shipped: dict[str, Any], study: str, has_sound: bool) -> None:
    found = STUDIES[study](shipped, has_sound)
    settings = {}
    for name, section in found.items():
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name), name  # it is part of paths and commands
        values = {key: value for key, value in section.items() if key != "kind"}
        settings[name] = section["kind"], settings_of(section["kind"], values, name).model_dump_json()
    assert len(set(settings.values())) == len(found)
    if not has_sound and study.startswith("switches"):
        assert not any("audio" in section.get("modalities", ()) for section in found.values())
