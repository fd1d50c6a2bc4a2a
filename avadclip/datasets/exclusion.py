"""The lines that put failed videos under ``datasets.<name>.exclude`` in ``params.yaml``."""

import json
import re
from collections.abc import Mapping

# JSON strings are YAML double-quoted scalars, but JSON leaves these characters as they are and YAML does not allow
# them (or takes them for line ends).
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def exclude_lines(reasons: Mapping[str, str], indent: int = 6) -> str:
    """One YAML line ``"id": "reason"`` for each video, sorted by id.

    Parameters
    ----------
    reasons : video id -> why it cannot be used. Any text: ids with `#`, `=`, quotes or line ends come back unchanged.
    indent : spaces before each line; entries of ``datasets.<name>.exclude`` have 6.
    """
    return "\n".join(f"{' ' * indent}{_quoted(id_)}: {_quoted(reasons[id_])}" for id_ in sorted(reasons))


def unusable_message(name: str, problems: Mapping[str, str], n_listed: int) -> str:
    """The error message if features of a data set cannot be used; `problems` by video id."""
    return "\n".join(
        [
            f"{len(problems)} of {n_listed} videos of {name!r} have no usable features:",
            *(f"  {id_}: {problems[id_]}" for id_ in sorted(problems)),
            f"Complete the files, or leave videos out: in params.yaml, under datasets.{name}.exclude:",
            exclude_lines(problems),
        ]
    )


def _quoted(text: str) -> str:
    # Python gives file names that are not UTF-8 lone surrogates, which cannot be written to a file.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match.group()):04x}", json.dumps(text, ensure_ascii=False))
