"""The features of one data set in one modality: a folder of feature files."""

from functools import cached_property
from pathlib import Path

from avadclip import hdf5
from avadclip.errors import FeatureError
from avadclip.store.feature_file import SUFFIX, Features, Recipe
from avadclip.store.feature_file import read as read_features


class FeatureFolder:
    """The features of one data set in one modality: ``<folder>/<id>.h5``.

    Parameters
    ----------
    folder : for example ``features/demo/visual``.
    recipe : that every file must have been made with; None: that of the first file.
    """

    def __init__(self, folder: Path, recipe: Recipe | None = None) -> None:
        if not folder.is_dir():
            raise FeatureError(f"{folder}: no such folder of features; run `dvc repro` or `dvc pull {folder}`")
        self.folder = folder
        self._recipe = recipe

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids of all videos, sorted."""
        return tuple(sorted(path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}")))

    @cached_property
    def recipe(self) -> Recipe:
        """The one recipe of this folder."""
        if self._recipe is not None:
            return self._recipe
        if not self.ids:
            raise FeatureError(f"{self.folder}: there are no features; run `dvc repro`, unless this data set has none")
        return read_features(self.path(self.ids[0])).recipe

    def path(self, video_id: str) -> Path:
        """The file of one video."""
        return self.folder / f"{video_id}{SUFFIX}"

    def read(self, video_id: str) -> Features:
        """Features of one video, checked; see :func:`avadclip.store.feature_file.read`."""
        features = read_features(self.path(video_id), self.recipe)
        if features.id != video_id:
            raise FeatureError(f"{self.path(video_id)}: has the features of {features.id!r}; the file was renamed")
        return features

    def n_snippets(self, video_id: str) -> int:
        """Number of snippets of one video, without reading its features."""
        try:
            with hdf5.opened(self.path(video_id)) as file:
                return hdf5.length(file, "valid")
        except hdf5.UNREADABLE as error:
            raise FeatureError(f"{self.path(video_id)}: not a readable feature file ({error})") from None
