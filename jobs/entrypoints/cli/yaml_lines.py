"""YAML with the values of JSON, and with the line of every value. Only the command line imports this, and PyYAML.

Scalars are read by YAML 1.2's core schema: ``no`` and ``on`` are text, ``12:30`` is no number and a date is text. A key
that stands twice is refused. PyYAML's own loader does neither (it has YAML 1.1, in which ``NO`` is false).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from jobs.core.errors import InvalidInput, Problem
from jobs.core.numbers import BadNumber, read_fraction

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_WORDS = {"": None, "~": None, **dict.fromkeys(("null", "Null", "NULL"))} | {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN = "plain"
_TEXT, _SEQUENCE, _MAPPING = (f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))
_MAX_DIGITS = 4_000
_MAX_DEPTH = 64
_MAX_VALUES = 100_000


@dataclass(slots=True)
class Document:
    """A parsed file: its value, and the line (from 1) of each value by its JSON Pointer."""

    value: Any = None
    lines: dict[str, int] = field(default_factory=dict)

    def line_of(self, pointer: str) -> int | None:
        """Return the line of a value, or of the nearest around it that is written down."""
        while pointer not in self.lines and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer)


def read_yaml(text: str) -> tuple[Document, list[Problem]]:
    """Parse one YAML document, with the faults in it that YAML itself allows, such as a repeated key.

    Raises ``InvalidInput`` for what is no YAML, with line and column in its words.
    """
    try:
        # Composing makes nodes and no objects, whatever tags there are.
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        mend = "; a text that begins with * or & needs quotes" if "scanning an a" in str(error.context) else ""
        problem = error.problem or error.context
        if problem == "but found another document":
            problem = "a second document begins here, and a file of jobs is one; remove the ---, or write two files"
        raise InvalidInput.at("", f"{place}{problem}{mend}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidInput.at("", f"no YAML: {' '.join(str(error).split()) or 'nested too deep'}") from None
    builder = _Builder()
    if root is not None:
        builder.document.value = builder.build(root, "", 0)
    return builder.document, builder.problems


class _Loader(yaml.SafeLoader):
    """Composes as the safe loader does, and leaves it to ``_plain`` what a plain scalar is."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag of a node without one: a plain scalar's is its own."""
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


class _Builder:
    """Builds values from nodes and keeps their lines."""

    def __init__(self) -> None:
        self.document = Document()
        self.problems: list[Problem] = []
        self._made = 0

    def build(self, node: yaml.Node, pointer: str, depth: int) -> Any:
        self.document.lines.setdefault(pointer, node.start_mark.line + 1)
        self._made += 1
        if depth > _MAX_DEPTH or self._made > _MAX_VALUES:  # also of an alias within itself, or of aliases of aliases
            raise InvalidInput.at("", f"more than {_MAX_DEPTH} levels deep, or of more than {_MAX_VALUES} values")
        if node.tag not in {_PLAIN, _TEXT, _SEQUENCE, _MAPPING}:
            self.problems.append(Problem(pointer, f"the tag {node.tag} is not read here; write plain YAML"))
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, pointer, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, f"{pointer}/{place}", depth + 1) for place, child in enumerate(node.value)]
        return self._plain(str(node.value), pointer) if node.tag == _PLAIN else str(node.value)

    def _mapping(self, node: yaml.MappingNode, pointer: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(pointer, "a key is a text here, no list and no mapping"))
            elif key == "<<" and key_node.tag == _PLAIN:
                merged |= self._merged(value_node, place, depth)
            elif key in made:
                again = key_node.start_mark.line + 1
                self.problems.append(Problem(place, f"the key {key!r} stands twice here, again in line {again}"))
            else:
                self.document.lines[place] = key_node.start_mark.line + 1
                made[key] = self.build(value_node, place, depth + 1)
        return merged | made

    def _merged(self, node: yaml.Node, pointer: str, depth: int) -> dict[str, Any]:
        """Read what ``<<: *defaults`` brings; the keys beside it go before."""
        value = self.build(node, pointer, depth + 1)
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            self.problems.append(Problem(pointer, "<< takes a mapping, or a list of them"))
            return {}
        made: dict[str, Any] = {}
        for part in reversed(parts):  # the first goes before the others
            made |= part
        return made

    def _plain(self, text: str, pointer: str) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                self.problems.append(Problem(pointer, f"a number of more than {_MAX_DIGITS} digits"))
                return 0
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text, base)
        if _FLOAT.fullmatch(text):
            try:
                return read_fraction(text)
            except BadNumber as error:
                self.problems.append(Problem(pointer, str(error)))
        return text
