"""Labels in file names: ``..._label_B1-B2-0`` in XD-Violence and the data sets that follow its naming."""

import re

from avadclip.datasets.model import NORMAL
from avadclip.errors import DatasetError

CLASS_OF_CODE = {
    "A": NORMAL,
    "B1": "fighting",
    "B2": "shooting",
    "B4": "riot",
    "B5": "abuse",
    "B6": "car accident",
    "G": "explosion",
}
_NO_FURTHER_LABEL = "0"
_LABEL_SUFFIX = re.compile(r"_label_([^_]+)$")


def labels_of(id_: str) -> tuple[str, ...]:
    """Class names in the order of the file name: up to three codes, `0` for none, `A` alone for a normal video.

    Raises
    ------
    DatasetError : the id does not end in ``_label_...``, or its codes are not valid.
    """
    suffix = _LABEL_SUFFIX.search(id_)
    if suffix is None:
        raise DatasetError(f"video {id_!r}: expected a name that ends in _label_<codes>, such as _label_B1-0-0")
    try:
        return labels_of_codes(suffix.group(1))
    except DatasetError as error:
        raise DatasetError(f"video {id_!r}: {error}") from None


def labels_of_codes(text: str) -> tuple[str, ...]:
    """Class names for ``B1-B2-0``.

    Raises
    ------
    DatasetError : the codes are not valid.
    """
    codes = [code for code in text.split("-") if code != _NO_FURTHER_LABEL]
    unknown = [code for code in codes if code not in CLASS_OF_CODE]
    if unknown or not codes or ("A" in codes and len(codes) > 1):
        raise DatasetError(
            f"label codes {text!r} are not valid; "
            f"known are {', '.join(CLASS_OF_CODE)} and 0 for none, and A stands alone"
        )
    return tuple(dict.fromkeys(CLASS_OF_CODE[code] for code in codes))
