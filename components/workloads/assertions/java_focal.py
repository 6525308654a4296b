"""Which method an assertion is about: found by rule from the calls in the assertion and before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tree_sitter import Node

from components.workloads.assertions.java_sources import Declared, Method, Project, simple_type, text_of

WIDER = {
    "byte": ("short", "int", "long", "float", "double"),
    "short": ("int", "long", "float", "double"),
    "char": ("int", "long", "float", "double"),
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
}
BOXES = {
    "boolean": "Boolean",
    "byte": "Byte",
    "char": "Character",
    "short": "Short",
    "int": "Integer",
    "long": "Long",
    "float": "Float",
    "double": "Double",
}
PRIMITIVES = frozenset(BOXES)
SAME, CLOSE, UNKNOWN, WRONG = 3, 2, 0, -6  # how well an argument's type fits a parameter's


@dataclass(frozen=True)
class Focal:
    """The chosen method and the class that declares it."""

    owner: Declared
    method: Method


def choose(
    project: Project,
    test_class: str,
    outer_class: str,
    test_name: str,
    own_methods: frozenset[str],
    package: str,
    assertion: Node,
    prefix: Sequence[Node],
) -> Focal | None:
    """The method under test, or None when no call names a method of the project.

    Calls of the assertion come first, then those of the prefix, the last ones first. One counts when it names a method
    of the class under test (the test class's name without `Test`), or is written `Class.method` with a class of the
    project, and a method of that name takes so many arguments. Of these the one with the longest name that occurs in
    the test's name is chosen, else the first.

    Args:
        own_methods: names of methods the test class declares: bare calls of these are its own.
        package: folders of the test's package, to tell classes of one name apart.
    """
    tested = _under_test(project, test_class, outer_class, package)
    types = _local_types(prefix)
    found: list[Focal] = []
    for call in (*_calls_backwards([assertion]), *_calls_backwards(prefix)):
        focal = _resolve(call, project, tested, own_methods, package, types)
        if focal is not None:
            found.append(focal)
    if not found:
        return None
    named = [focal for focal in found if focal.method.name.lower() in test_name.lower()]
    return max(named, key=lambda focal: len(focal.method.name), default=found[0])


def _under_test(project: Project, test_class: str, outer_class: str, package: str) -> Declared | None:
    for name in (test_class, outer_class):
        bare = name.replace("TestCase", "").replace("Tests", "").replace("Test", "")
        if bare in project.classes:
            return _nearest(project.classes[bare], package)
    return None


def _nearest(classes: Sequence[Declared], package: str) -> Declared:
    """Of classes of one name the one in the test's package, else the first by path."""
    return next((one for one in classes if one.path.rsplit("/", 1)[0].endswith(package)), classes[0])


def _calls_backwards(nodes: Sequence[Node]) -> Iterator[Node]:
    """All calls of methods in some nodes, the one whose name stands last first."""
    calls = []
    for node in nodes:
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if one.type == "method_invocation":
                calls.append(one)
            waiting.extend(one.named_children)
    calls.sort(key=lambda call: -_name(call).start_byte)
    return iter(calls)


def _name(call: Node) -> Node:
    name = call.child_by_field_name("name")
    assert name is not None, "the grammar gives every call a name"
    return name


def _resolve(
    call: Node,
    project: Project,
    tested: Declared | None,
    own_methods: frozenset[str],
    package: str,
    types: Mapping[str, str],
) -> Focal | None:
    name = text_of(_name(call))
    receiver = call.child_by_field_name("object")
    owner = tested
    if receiver is None:
        if name in own_methods:
            return None
    elif receiver.type in {"identifier", "field_access"} and text_of(receiver) not in types:
        written = text_of(receiver).rsplit(".", 1)[-1]
        if written in project.classes:
            owner = tested if tested is not None and tested.name == written else None
            owner = owner or _nearest(project.classes[written], package)
        elif written[:1].isupper() and not written.isupper():
            return None  # a class of somebody else
    if owner is None:
        return None
    arguments = call.child_by_field_name("arguments")
    given = [one for one in arguments.named_children if "comment" not in one.type] if arguments else []
    method = _overload(owner.methods.get(name, ()), [_type_of(one, types) for one in given])
    return None if method is None else Focal(owner, method)


def _overload(methods: Sequence[Method], given: Sequence[str]) -> Method | None:
    """Of the methods that take so many arguments the one whose parameters fit best, the first of equals."""
    fitting = [method for method in methods if method.takes(len(given))]
    return max(fitting, key=lambda method: _fit(method, given), default=None)


def _fit(method: Method, given: Sequence[str]) -> float:
    exact = len(given) == len(method.types)
    kinds = list(method.types) + list(method.types[-1:]) * (len(given) - len(method.types))
    total = sum(_fits(one, kind) for one, kind in zip(given, kinds, strict=False))
    return total - (0.5 if method.varargs else 0.0) - (0.0 if exact else 0.5)


def _fits(given: str, wanted: str) -> int:
    if not given:
        return UNKNOWN
    if given == wanted:
        return SAME
    if given == "null":
        return WRONG if wanted in PRIMITIVES else UNKNOWN
    if wanted in WIDER.get(given, ()) or BOXES.get(given) == wanted or BOXES.get(wanted) == given:
        return CLOSE
    if wanted == "CharSequence" and given == "String":
        return CLOSE
    if given in PRIMITIVES or wanted in PRIMITIVES or given.endswith("[]") != wanted.endswith("[]"):
        return WRONG if wanted not in {"Object", "T"} else UNKNOWN
    return -1 if "String" in {given, wanted} and wanted not in {"Object", "T"} else UNKNOWN


def _type_of(node: Node, types: Mapping[str, str]) -> str:
    """The type of an argument as far as it can be read from it; "" where not."""
    text = text_of(node)
    if node.type == "identifier":
        return types.get(text, "")
    if node.type in {"parenthesized_expression", "unary_expression"} and node.named_children:
        return _type_of(node.named_children[-1], types)
    if node.type in {"cast_expression", "object_creation_expression"}:
        return simple_type(text_of(node.child_by_field_name("type")))
    if node.type == "array_creation_expression":
        depth = sum(text_of(one).count("[") for one in node.children_by_field_name("dimensions"))
        return simple_type(text_of(node.child_by_field_name("type"))) + "[]" * depth
    if node.type.endswith("integer_literal"):
        return "long" if text[-1] in "lL" else "int"
    if node.type.endswith("floating_point_literal"):
        return "float" if text[-1] in "fF" else "double"
    fixed = {"string_literal": "String", "character_literal": "char", "true": "boolean", "false": "boolean"}
    return {**fixed, "null_literal": "null", "class_literal": "Class"}.get(node.type, "")


def _local_types(statements: Sequence[Node]) -> dict[str, str]:
    """Names of local variables declared in some statements -> their types."""
    types: dict[str, str] = {}
    waiting = list(statements)
    while waiting:
        node = waiting.pop()
        if node.type == "local_variable_declaration":
            kind = text_of(node.child_by_field_name("type"))
            for one in node.children_by_field_name("declarator"):
                full = kind + text_of(one.child_by_field_name("dimensions"))
                types[text_of(one.child_by_field_name("name"))] = "" if kind == "var" else simple_type(full)
        waiting.extend(node.named_children)
    return types
