"""What the imports of features share: links to files elsewhere, and copies, in the folders of a data set."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from avadclip import config
from avadclip.config.datasets import Dataset
from avadclip.config.loading import check_names
from avadclip.errors import ConfigError, DatasetError
from avadclip.io import copy


def known_section(name: str, kind: str, params: Path) -> Dataset | None:
    """The block of a data set, if params.yaml has it already.

    Raises
    ------
    ConfigError : it is of another kind, or `name` is not a name for DVC.
    """
    try:
        check_names("datasets", [name])
    except ValueError as error:
        raise ConfigError(f"{params}: {error}") from None
    known = config.load(params).datasets.get(name)
    if known is not None and known.kind != kind:
        raise ConfigError(f"{params}: datasets.{name} exists already, of kind {known.kind}; choose another name")
    return known


def copy_files(source: Path, target: Path, files: Mapping[str, str | None]) -> None:
    """Copy some files of a folder into another.

    Parameters
    ----------
    files : name -> advice if there is no such file; None: it is optional, and if absent it is removed from the target.

    Raises
    ------
    DatasetError : a file that is not optional is missing.
    """
    target.mkdir(parents=True, exist_ok=True)
    for file, advice in files.items():
        if not (source / file).is_file():
            if advice is not None:
                raise DatasetError(f"{source / file}: no such file; {advice}")
            (target / file).unlink(missing_ok=True)
        elif not (target / file).exists() or not (target / file).samefile(source / file):
            copy(source / file, target / file)


def links_of(files: Iterable[tuple[Path, Path]]) -> Iterator[tuple[Path, Path]]:
    """Link and target of each file; files that are already in the folder, perhaps put there by hand, stay.

    Parameters
    ----------
    files : folder and file.
    """
    resolved = cache(Path.resolve)  # very many files are in few folders
    for folder, path in files:
        parent = resolved(path.parent)
        if parent.is_relative_to(resolved(folder)):
            yield path, path
        else:
            yield folder / path.name, path.resolve() if path.is_symlink() else parent / path.name


def bring_links(links: Mapping[Path, Path], folders: Iterable[Path]) -> None:
    """Make a link to every file that is elsewhere: DVC follows links to files, but not to folders.

    Raises
    ------
    DatasetError : there is another file with this name.
    """
    sources = {path.absolute() for path in links.values()}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.is_symlink() and old.absolute() not in sources:
                old.unlink()
    for link, path in links.items():
        if not link.exists():
            link.symlink_to(path)
        elif not link.samefile(path):
            raise DatasetError(f"{link}: another file than {path}; move it out of the way")


def drop_other_datasets(content: Any, name: str) -> None:
    """Make a data set the only one of a parameter file that is being edited."""
    for section in (content.get("worlds"), content.get("score", {}).get("across")):
        if section:
            section.clear()
    for other in [other for other in content["datasets"] if other != name]:
        del content["datasets"][other]
