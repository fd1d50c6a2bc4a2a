"""The contents of ``features/``: the file of one video, the folder of a data set, one video in all modalities.

`work_cache` keeps every file that was made here, `merge` takes files from elsewhere, `audit` checks what is there.
"""

from avadclip.store.feature_file import (
    FORMAT,
    SUFFIX,
    Features,
    Packed,
    Recipe,
    Source,
    check_recipe,
    differences,
    fingerprint,
    pack,
    read,
    write,
    write_bytes,
)
from avadclip.store.feature_folder import FeatureFolder

__all__ = [
    "FORMAT",
    "SUFFIX",
    "FeatureFolder",
    "Features",
    "Packed",
    "Recipe",
    "Source",
    "check_recipe",
    "differences",
    "fingerprint",
    "pack",
    "read",
    "write",
    "write_bytes",
]
