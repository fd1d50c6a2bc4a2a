"""Which records may be in one table: those of one test set, one protocol and, for each modality, one recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avadclip.evaluation.published import ROWS
from avadclip.tables.records import Record

# Kind of a data set of the paper -> frames per snippet there.
PUBLISHED_STRIDES = {"xd_violence": 16, "xd_violence_released": 16, "cctv_fights": 4}
PUBLISHED_WEIGHTS = "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"  # OpenAI's ViT-B/16


@dataclass(frozen=True)
class Found:
    """A record, and its origin; empty if it is ours."""

    record: Record
    origin: str = ""

    @property
    def name(self) -> str:
        """The name in a table."""
        return f"{self.record.name} ({self.origin})" if self.origin else self.record.name


def comparable(own: Sequence[Record], foreign: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """The comparable records, and a line about each other one. Of our features, those of most records count."""
    reference = _of_most(own)
    kept, refused = [], []
    for entry in (*map(Found, own), *foreign):
        other = [
            f"{what} {sha256[:8]}, here {reference.get(what, 'none')[:8]}"
            for what, sha256 in _identity(entry.record).items()
            if reference.get(what) != sha256
        ]
        if other:
            refused.append(f"not in the table: {entry.name} is not comparable: {'; '.join(other)}")
        else:
            kept.append(entry)
    return kept, refused


def is_published(records: Sequence[Record]) -> bool:
    """Whether they are of a data set of the paper, with the paper's visual features."""
    kind = records[0].data.kind
    recipes = [record.features["visual"].settings for record in records if "visual" in record.features]
    found = {(recipe.get("stride"), recipe.get("weights_sha256")) for recipe in recipes}
    return kind in ROWS and found == {(PUBLISHED_STRIDES.get(kind), PUBLISHED_WEIGHTS)}


def _identity(record: Record) -> dict[str, str]:
    features = {f"{modality} features": one.sha256 for modality, one in record.features.items()}
    return {"data set": record.data.sha256, "protocol": record.protocol.sha256} | features


def _of_most(records: Sequence[Record]) -> Mapping[str, str]:
    found = [item for record in records for item in _identity(record).items()]
    # The most frequent one is last, and overwrites the others.
    return dict(sorted(set(found), key=lambda item: (found.count(item), item)))
