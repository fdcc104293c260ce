"""Evaluate ``infra/bicep`` as a deployment would, as far as that goes without Azure.

There is no Bicep compiler among the packages that this project installs. Here is what the files use of the language;
anything else raises, so that nothing passes because it was not understood.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.infra.bicep_syntax import BicepFault, BicepFile, Node, bicep_file, call_of, child_of, nodes_of, text_of

_SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
GROUP = f"{_SUBSCRIPTION}/resourceGroups/jobs"


class Unknown(str):
    """A property that only Azure knows, such as a host name; any property of it is unknown too."""

    __slots__ = ()


@dataclass
class Made:
    """A resource, as it is handed to Azure."""

    kind: str
    version: str
    name: str
    body: dict[str, Any] = field(default_factory=dict)
    scope: Made | None = None

    @property
    def id(self) -> str:
        provider, *types = self.kind.split("/")
        pairs = "/".join(f"{kind}/{name}" for kind, name in zip(types, self.name.split("/"), strict=True))
        return f"{GROUP}/providers/{provider}/{pairs}"


@dataclass
class Deployment:
    """What a file makes, its modules included, and what it puts out."""

    resources: list[Made] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)


def deploy(file: BicepFile, arguments: Mapping[str, Any], known: Mapping[tuple[str, str], Any]) -> Deployment:
    """Evaluate a file. ``known`` has what Azure would answer, by resource type and property: ("…", "properties.…")."""
    check_names(file)
    unknown = set(arguments) - set(file.parameters)
    missing = file.required() - set(arguments)
    if unknown or missing:
        raise BicepFault(f"{file.path.name}: unknown parameters {sorted(unknown)}, missing {sorted(missing)}")
    evaluation = _Evaluation(file, arguments, known)
    for name, value in arguments.items():
        allowed = decorated(file, name, "allowed")
        if allowed is not None and value not in allowed:
            raise BicepFault(f"{file.path.name}: {name} is {value!r}, not one of {allowed}")
    for name in [*file.variables, *file.resources, *file.modules]:
        evaluation.symbol(name)
    outputs = {name: evaluation.value(node.named_children[-1]) for name, node in file.outputs.items()}
    return Deployment(evaluation.made, outputs)


class _Evaluation:
    def __init__(self, file: BicepFile, arguments: Mapping[str, Any], known: Mapping[tuple[str, str], Any]) -> None:
        self._file = file
        self._known = known
        self._names: dict[str, Any] = dict(arguments)
        self._loops: list[dict[str, Any]] = []
        self.made: list[Made] = []

    def symbol(self, name: str) -> Any:
        for loop in reversed(self._loops):
            if name in loop:
                return loop[name]
        if name not in self._names:
            file = self._file
            if name in file.parameters:
                self._names[name] = self.value(file.parameters[name].named_children[-1])
            elif name in file.variables:
                self._names[name] = self.value(file.variables[name].named_children[-1])
            elif name in file.resources:
                self._names[name] = self._declared(file.resources[name], self._resource)
            elif name in file.modules:
                self._names[name] = self._declared(file.modules[name], self._module)
            else:
                raise BicepFault(f"{file.path.name}: {name} is not declared")
        return self._names[name]

    def _declared(self, node: Node, make: Callable[[str, Node], Any]) -> Any:
        """Make what a declaration asks for: one, none where its condition does not hold, or one for each of a loop."""
        target = self.value(node.named_children[1])
        body = node.named_children[-1]
        if body.type == "if_statement":
            condition, inner = body.named_children
            return make(target, inner) if self.value(condition) else None
        if body.type == "for_statement":
            return list(self._each(body, lambda inner: make(target, inner)))
        return make(target, body)

    def _resource(self, target: str, body: Node) -> Made:
        kind, version = target.split("@")
        given = self.value(body)
        parent, scope = given.pop("parent", None), given.pop("scope", None)
        given.pop("dependsOn", None)
        name = given["name"] if parent is None else f"{parent.name}/{given['name']}"
        if len(kind.split("/")) - 1 != len(str(name).split("/")):
            raise BicepFault(f"{self._file.path.name}: {kind} needs a parent for each part of its type")
        made = Made(kind, version, name, given, scope)
        self.made.append(made)
        return made

    def _module(self, target: str, body: Node) -> Deployment:
        given = self.value(body)
        deployment = deploy(bicep_file(self._file.path.parent / target), given.get("params", {}), self._known)
        self.made += deployment.resources
        return deployment

    def _each(self, node: Node, of: Callable[[Node], Any]) -> Iterator[Any]:
        item, items, body = node.named_children
        for value in self.value(items):
            self._loops.append({text_of(item): value})
            try:
                yield of(body)
            finally:
                self._loops.pop()

    def value(self, node: Node) -> Any:
        """Evaluate an expression; raises ``BicepFault`` for one that is more than is understood here."""
        of = _EXPRESSIONS.get(node.type)
        if of is None:
            place = f"{self._file.path.name}:{node.start_point[0] + 1}"
            raise BicepFault(f"{place} is more than is understood: {text_of(node)[:60]}")
        return of(self, node)

    def array(self, node: Node) -> list[Any]:
        return [self.value(child) for child in node.named_children if child.type != "comment"]

    def object(self, node: Node) -> dict[str, Any]:
        return dict(self._property(child) for child in node.named_children if child.type != "comment")

    def loop(self, node: Node) -> list[Any]:
        return list(self._each(node, self.value))

    def choice(self, node: Node) -> Any:
        condition = self.value(child_of(node, "condition"))
        return self.value(child_of(node, "consequence" if condition else "alternative"))

    def unary(self, node: Node) -> bool:
        if text_of(child_of(node, "operator")) != "!":
            raise BicepFault(f"{text_of(node)} is more than is understood")
        return not self.value(child_of(node, "argument"))

    def member(self, node: Node) -> Any:
        return self._member(self.value(child_of(node, "object")), text_of(child_of(node, "property")))

    def call(self, node: Node) -> Any:
        name, arguments = call_of(node)
        if name == "loadJsonContent":
            return json.loads((self._file.path.parent / self.value(arguments[0])).read_text())
        return _FUNCTIONS[name](*(self.value(argument) for argument in arguments))

    def _property(self, node: Node) -> tuple[str, Any]:
        key, value = node.named_children
        return (self.string(key) if key.type == "string" else text_of(key)), self.value(value)

    def string(self, node: Node) -> str:
        parts = []
        for child in node.named_children:
            if child.type == "interpolation":
                parts.append(str(self.value(child.named_children[0])))
            else:
                parts.append(text_of(child) if child.type == "string_content" else text_of(child)[-1])
        return "".join(parts)

    def binary(self, node: Node) -> Any:
        left, operator = self.value(child_of(node, "left")), text_of(child_of(node, "operator"))
        if operator == "||":
            return left or self.value(child_of(node, "right"))
        if operator == "&&":
            return left and self.value(child_of(node, "right"))
        right = self.value(child_of(node, "right"))
        return {
            "==": lambda: left == right,
            "!=": lambda: left != right,
            "<=": lambda: left <= right,
            ">": lambda: left > right,
            "+": lambda: left + right,
            "*": lambda: left * right,
            "/": lambda: left // right,
        }[operator]()

    def _member(self, owner: Any, name: str) -> Any:
        match owner:
            case Made() if name in {"id", "name"}:
                return getattr(owner, name)
            case Made():
                return self._azures(owner.kind, name)
            case Deployment() if name == "outputs":
                return owner.outputs
            case Unknown():
                kind, _, path = owner.strip("<>").partition("#")
                return self._azures(kind, f"{path}.{name}")
            case dict() if name in owner:
                return owner[name]
        raise BicepFault(f"{self._file.path.name}: there is no {name} in {type(owner).__name__}")

    def _azures(self, kind: str, path: str) -> Any:
        return self._known.get((kind, path), Unknown(f"<{kind}#{path}>"))


_EXPRESSIONS: dict[str, Callable[[_Evaluation, Node], Any]] = {
    "string": _Evaluation.string,
    "number": lambda _, node: int(text_of(node)),
    "boolean": lambda _, node: text_of(node) == "true",
    "null": lambda _self, _node: None,
    "identifier": lambda self, node: self.symbol(text_of(node)),
    "parenthesized_expression": lambda self, node: self.value(node.named_children[0]),
    "array": _Evaluation.array,
    "object": _Evaluation.object,
    "for_statement": _Evaluation.loop,
    "ternary_expression": _Evaluation.choice,
    "unary_expression": _Evaluation.unary,
    "binary_expression": _Evaluation.binary,
    "member_expression": _Evaluation.member,
    "call_expression": _Evaluation.call,
}


def _fail(message: str) -> Any:
    raise BicepFault(message)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "resourceGroup": lambda: {"id": GROUP, "location": "westeurope"},
    "tenant": lambda: {"tenantId": "tenant"},
    "environment": lambda: {
        "suffixes": {"storage": "core.windows.net"},
        "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
    },
    "subscriptionResourceId": lambda kind, name: f"{_SUBSCRIPTION}/providers/{kind}/{name}",
    "uniqueString": lambda *_: "suffix-of-thirteen",
    "guid": lambda *parts: str(uuid5(NAMESPACE_URL, " ".join(parts))),
    "substring": lambda text, start, length: text[start : start + length],
    "replace": lambda text, old, new: text.replace(old, new),
    "empty": lambda value: not value,
    "union": lambda *objects: {key: value for one in objects for key, value in one.items()},
    "concat": lambda *arrays: [item for one in arrays for item in one],
    "string": str,
    "json": json.loads,
    "items": lambda one: [{"key": key, "value": one[key]} for key in sorted(one)],
    "uriComponent": lambda text: "".join(c if c.isalnum() or c in "-_.~" else f"%{ord(c):02X}" for c in text),
    "loadJsonContent": lambda _path: None,
    "fail": _fail,
}


def check_names(file: BicepFile) -> None:
    """Raise ``BicepFault`` for a name that is not declared, also where it would not be evaluated."""
    declared = {*file.parameters, *file.variables, *file.resources, *file.modules}
    for node in nodes_of(file.root):
        if node.type != "identifier" or _is_a_name_itself(node):
            continue
        name = text_of(node)
        is_call = node.parent is not None and node.parent.type == "call_expression" and _is_child(node, "function")
        if is_call and (name in _FUNCTIONS or name in _DECORATORS):
            continue
        if name not in declared and name not in _loop_names(node):
            raise BicepFault(f"{file.path.name}:{node.start_point[0] + 1} {name} is not declared")


def decorated(file: BicepFile, name: str, decorator: str) -> Any:
    """Give what a decorator says, such as a description; None where there is none."""
    arguments = file.decorators[name].get(decorator)
    return None if arguments is None else _Evaluation(file, {}, {}).value(arguments[0])


def default_of(file: BicepFile, name: str) -> Any:
    """Give a parameter's default where it is a literal; raises ``BicepFault`` where it has none."""
    if name in file.required():
        raise BicepFault(f"{name} has no default")
    return _Evaluation(file, {}, {}).value(file.parameters[name].named_children[-1])


_DECORATORS = {"description", "allowed", "minLength", "maxLength", "minValue", "maxValue", "batchSize", "secure"}


def _is_a_name_itself(node: Node) -> bool:
    parent = node.parent
    assert parent is not None
    if parent.type.endswith("_declaration") or parent.type == "object_property":
        return bool(parent.named_children[0] == node)
    return parent.type == "for_statement" and bool(parent.named_children[0] == node)


def _is_child(node: Node, name: str) -> bool:
    return node.parent is not None and node.parent.child_by_field_name(name) == node


def _loop_names(node: Node | None) -> Iterator[str]:
    while node is not None:
        if node.type == "for_statement":
            yield text_of(node.named_children[0])
        node = node.parent
