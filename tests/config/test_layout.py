"""``dvc exp run --set-param`` rewrites the whole file; our files are laid out so that only the value changes."""

import io
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from dvc.utils.serialize import _yaml

from avadclip import recipes
from avadclip.recipes import table_variants

SHIPPED = Path(__file__).parents[2] / "params.yaml"


def written_by_dvc(text: str) -> str:
    """Return the text as DVC writes it when it changes a value."""
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


@pytest.mark.parametrize("name", ["table_i", "table_v", "table_vi", "table_vii", "table_viii"])
def test_with_the_variants_of_a_table(params: Path, name: str) -> None:
    for dataset in ("xd_violence", "cctv_fights_sub") if name == "table_v" else ():
        recipes.add(dataset, params)
    table_variants.add(name, params)
    assert written_by_dvc(params.read_text()) == params.read_text()


def test_comments_stay_above_what_they_are_of(params: Path) -> None:
    before = params.read_text().splitlines()
    recipes.add_detectors("zoo", params)
    after = params.read_text().splitlines()
    followed = {(comment, key) for comment, key in pairwise(before) if comment.startswith("#") and key[:1].isalpha()}
    assert len(followed) > 5
    assert followed <= set(pairwise(after))
