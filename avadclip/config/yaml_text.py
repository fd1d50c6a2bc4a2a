"""YAML as DVC reads it, where everything that is not in quotes and looks like a text is one."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import Node

_CORE = "tag:yaml.org,2002:"
_KEYS = (f"{_CORE}str", f"{_CORE}merge")
_READ_AS = {"timestamp": "a date", "int": "a number", "float": "a number", "bool": "a truth value", "null": "nothing"}


class UnquotedError(MarkedYAMLError):
    """A key, or a value that JSON does not have, that YAML takes for something else than a text."""


def read_yaml(content: bytes | str) -> Any:
    """The content of a YAML 1.2 document: `1e-5` is a number, `no` is a word.

    Raises
    ------
    UnquotedError : a key is no text, or a value is a date: as the id of a video, `001` would be `1`.
    YAMLError : no YAML.
    """
    yaml = YAML(typ="safe")
    yaml.Constructor = _Constructor
    return yaml.load(content)


class _Constructor(SafeConstructor):
    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        for key, _ in node.value:
            if key.tag not in _KEYS:
                raise _unquoted("key", key)
        return super().construct_mapping(node, deep)

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
