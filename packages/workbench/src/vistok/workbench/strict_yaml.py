"""YAML as a configuration needs it: plain values, keys that are names and given once, bounds on what a text may cost.

The difference to ``yaml.safe_load``: keys and dates are strings, a key that is given twice is an error, and so is what
would hang or end in a traceback: deep nesting, aliases that multiply, numbers of thousands of digits, tags of Python or
of rare types. Anchors, aliases and merge keys (``<<: *base``) work.
"""

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError

MOST_NODES = 10_000  # values and keys, an alias counting as what it stands for
MOST_LEVELS = 40
MOST_DIGITS = 100  # of a number as it is written

_TAG = "tag:yaml.org,2002:"
_TYPES = ("null", "bool", "int", "float", "str", "seq", "map")
_TOO_DEEP = f"nested deeper than {MOST_LEVELS} levels"
_LARGEST = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")


class StrictYAMLError(ValueError):
    """A text that is no YAML, or more than a configuration may hold; the message gives line and column."""


def read_yaml(text: str) -> Any:
    r"""The value of a YAML document: None, bool, int, float, str, list, dict with strings as keys.

    Raises:
        StrictYAMLError: The text is not valid, or has a duplicate key, an unknown tag, an alias within what it stands
            for, an integer beyond 64 bits, or more nodes or levels than a configuration needs.

    Example:
        >>> read_yaml("base: &b {steps: 5, on: 2024-01-01}\nmine: {<<: *b, steps: 6}")["mine"]
        {'steps': 6, 'on': '2024-01-01'}
    """
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        told = ", ".join(part for part in (error.context, error.problem) if part)
        raise StrictYAMLError(f"{_place(error.problem_mark or error.context_mark)}{told}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise StrictYAMLError(f"line {line}: character {error.character:#06x} is not allowed") from None
    except (ValueError, OverflowError) as error:  # an escape beyond Unicode, a directive that is no number
        raise StrictYAMLError(f"{_place(loader.get_mark() if loader else None)}{error}") from None


def write_yaml(value: Any) -> str:
    r"""The text from which :func:`read_yaml` reads the value again.

    Example:
        >>> read_yaml(write_yaml({"a": "\x85"})) == {"a": "\x85"}
        True
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def represent_str(self, text: str) -> yaml.ScalarNode:
        # Unless they are escaped, the rarer ends of a line are read as spaces.
        return self.represent_scalar(_TAG + "str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)


def _place(mark: yaml.Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _at(where: Any, message: str) -> ConstructorError:
    return ConstructorError(None, None, message, where.start_mark)


class _Loader(yaml.SafeLoader):
    """Bounds are checked while nodes are composed, before anything is built from them."""

    # Without dates, and without "=", for which there is no constructor.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, form) for tag, form in rules if tag.removeprefix(_TAG) in (*_TYPES, "merge")]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in _TYPES
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0
        self._levels = 0
        self._sizes: dict[yaml.Node, int] = {}  # of each finished node, aliases within it expanded

    def fetch_flow_collection_start(self, token: Any) -> None:
        # The scanner reads a thousand characters ahead of the nodes, at a cost of the square of the open brackets.
        if self.flow_level >= MOST_LEVELS:
            raise ConstructorError(None, None, _TOO_DEEP, self.get_mark())
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> Any:
        event: yaml.Event = self.peek_event()
        before = self._nodes
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise _at(event, _TOO_DEEP)
        node: Any = super().compose_node(parent, index)
        self._levels -= 1
        if isinstance(node, yaml.ScalarNode) and _SURROGATE.search(node.value):
            raise _at(event, "half of a surrogate pair, which is no character")
        if not isinstance(event, yaml.AliasEvent):
            self._nodes += 1
            self._sizes[node] = self._nodes - before
        elif node in self._sizes:
            self._nodes += self._sizes[node]
        else:
            raise _at(event, f"the alias *{event.anchor} is within what it stands for")
        if self._nodes > MOST_NODES:
            raise _at(event, f"more than {MOST_NODES} values, aliases expanded")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The mapping with what it merges in it: the constructor's own merging keeps the wrong one of equal names."""
        mapping = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        merged: list[Any] = []
        own = {}
        for key, value in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _at(key, "expected a name as key, got a list or a mapping")
            if key.value in lines:
                message = f"duplicate key {key.value!r}, first on line {lines[key.value]}"
                raise _at(key, message)
            lines[key.value] = key.start_mark.line + 1
            if key.tag == _TAG + "merge":
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                name = yaml.ScalarNode(_TAG + "str", key.value, key.start_mark, key.end_mark)
                own[key.value] = (name, value)
        pairs = {}
        for source in reversed(merged):
            if not isinstance(source, yaml.MappingNode):
                raise _at(source, "expected a mapping to merge")
            pairs.update({name.value: (name, value) for name, value in source.value})
        mapping.value = list((pairs | own).values())
        return mapping

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        number = isinstance(node, yaml.ScalarNode) and node.tag in (_TAG + "int", _TAG + "float")
        if number and len(node.value) > MOST_DIGITS:
            raise _at(node, f"a number of more than {MOST_DIGITS} digits")
        try:
            value = super().construct_object(node, deep=deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError):  # as of `!!int many`, `!!bool maybe`, `0x_`
            kind = node.tag.removeprefix(_TAG)
            raise _at(node, f"expected a value of type {kind}") from None
        if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
            raise _at(node, "an integer of more than 64 bits")
        return value
