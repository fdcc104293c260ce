"""Read ``infra/bicep``: what each file declares. tree-sitter reads the syntax."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
Node = tree_sitter.Node


class BicepFault(Exception):
    """What a compiler or a deployment would refuse."""


class BicepFile:
    """One file's declarations."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self.root = root = _PARSER.parse((text if text is not None else path.read_text()).encode()).root_node
        for node in nodes_of(root):
            if node.is_error or node.is_missing:
                raise BicepFault(f"{path.name}:{node.start_point[0] + 1} cannot be read: {text_of(node)[:60]!r}")
        self.parameters: dict[str, Node] = {}
        self.variables: dict[str, Node] = {}
        self.resources: dict[str, Node] = {}
        self.modules: dict[str, Node] = {}
        self.outputs: dict[str, Node] = {}
        self.decorators: dict[str, dict[str, list[Node]]] = {}
        groups = {"parameter": self.parameters, "variable": self.variables, "resource": self.resources,
                  "module": self.modules, "output": self.outputs}  # fmt: skip
        pending: dict[str, list[Node]] = {}
        for node in root.named_children:
            if node.type == "decorators":
                pending = dict(call_of(decorator.named_children[0]) for decorator in node.named_children)
            elif (group := groups.get(node.type.removesuffix("_declaration"))) is not None:
                name = text_of(node.named_children[0])
                if name in group:
                    raise BicepFault(f"{path.name}: {name} is declared twice")
                group[name] = node
                self.decorators[f"{'output ' if group is self.outputs else ''}{name}"] = pending
                pending = {}

    def required(self) -> set[str]:
        """Name the parameters without a default."""
        return {name for name, node in self.parameters.items() if node.named_children[-1].type == "type"}


@lru_cache
def bicep_file(path: Path) -> BicepFile:
    """Read a file once."""
    return BicepFile(path)


def nodes_of(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes_of(child)


def text_of(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def child_of(node: Node, name: str) -> Node:
    found = node.child_by_field_name(name)
    assert found is not None, text_of(node)
    return found


def call_of(node: Node) -> tuple[str, list[Node]]:
    return text_of(child_of(node, "function")), list(child_of(node, "arguments").named_children)
