"""``dvc exp run --set-param`` writes the whole file anew: what we ship is laid out so that only the value changes."""

import io
import shutil
from pathlib import Path

import pytest
from dvc.utils.serialize import _yaml

from avadclip import recipes

SHIPPED = Path(__file__).parents[2] / "params.yaml"


def written_by_dvc(text: str) -> str:
    """As DVC writes what it has read, where it changes a value."""
    out = io.StringIO()
    _yaml._dump(_yaml.parse_yaml_for_update(text, "params.yaml"), out)
    return out.getvalue()


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED, tmp_path))


def test_the_shipped_file(params: Path) -> None:
    assert written_by_dvc(params.read_text()) == params.read_text()


@pytest.mark.parametrize("name", recipes.names())
def test_with_a_recipe(params: Path, name: str) -> None:
    recipes.add(name, params)
    assert written_by_dvc(params.read_text()) == params.read_text()


@pytest.mark.parametrize("name", recipes.detector_names())
def test_with_more_detectors(params: Path, name: str) -> None:
    recipes.add_detectors(name, params)
    assert written_by_dvc(params.read_text()) == params.read_text()
