"""YAML as DVC reads it, but what would silently become another type than text is an error."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node

# A parameter file has a few thousand values; with aliases of aliases, a few lines make billions.
_MOST_VALUES = 1_000_000
_MOST_KEYS = 10_000  # in one mapping
_MOST_BITS = 64

_CORE = "tag:yaml.org,2002:"
_KEYS = (f"{_CORE}str", f"{_CORE}merge")
_READ_AS = {"timestamp": "a date", "int": "a number", "float": "a number", "bool": "a truth value", "null": "nothing"}


class UnquotedError(MarkedYAMLError):
    """A key, or a value of a type that JSON does not have, that YAML does not read as text."""


def read_yaml(content: bytes | str) -> Any:
    """The content of a YAML 1.2 document: `1e-5` is a number, `no` is text.

    Raises
    ------
    UnquotedError : a key is not text, or a value is a date: as the id of a video, `001` would be `1`.
    YAMLError : not YAML, or values that no parameter has: millions of them, nested in themselves, or with too many
        digits.
    """
    yaml = YAML(typ="safe", pure=True)  # the parser in C ends the process where values are nested deeply
    yaml.Constructor = _Constructor
    try:
        found = yaml.load(content)
        n_values = _count(found, {})
    except RecursionError:
        raise YAMLError("values are nested too deeply, or contain themselves; write them out") from None
    except ValueError as error:  # a number with thousands of digits
        raise YAMLError(str(error)) from None
    if n_values > _MOST_VALUES:
        raise YAMLError(f"{n_values} values, most of them aliases (*name) of aliases; write them out")
    return found


def _count(value: Any, known: dict[int, int]) -> int:
    """How many values a document has with every alias written out. What an alias stands for is walked through once."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError(f"a whole number of {value.bit_length()} bits; parameters have at most {_MOST_BITS}")
    if id(value) not in known:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        known[id(value)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(value)]


class _Constructor(SafeConstructor):
    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        for key, _ in node.value:
            if key.tag not in _KEYS:
                raise _unquoted("key", key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: Any) -> Any:
        merged = super().flatten_mapping(node)
        if len(node.value) > _MOST_KEYS:
            raise YAMLError(f"line {node.start_mark.line + 1}: {len(node.value)} keys, most of them merged (<<)")
        return merged

    def refuse(self, node: Any) -> None:
        raise _unquoted("value", node)


for _name in ("timestamp", "binary", "set"):
    _Constructor.add_constructor(f"{_CORE}{_name}", _Constructor.refuse)


def _unquoted(what: str, node: Node) -> UnquotedError:
    kind = str(node.tag).removeprefix(_CORE)
    written = f" {node.value}" if isinstance(node.value, str) else ""
    advice = f'put it in quotes: "{node.value}"' if written else "put it in quotes"
    return UnquotedError(
        f"line {node.start_mark.line + 1}: the {what}{written} is read as {_READ_AS.get(kind, f'a {kind}')}; {advice}"
    )
