"""The classes of a Java text, as the interpreter runs them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tree_sitter import Node

from components.errors import bad_data
from components.workloads.assertions.java_syntax import parser


@dataclass
class Class:
    """A class as it was parsed: methods by (name, number of parameters), fields with their first values."""

    name: str
    parent: str | None
    fields: list[Node] = field(default_factory=list)
    methods: dict[tuple[str, int], Node] = field(default_factory=dict)
    constructors: dict[int, Node] = field(default_factory=dict)


def read_classes(source: str) -> dict[str, Class]:
    """The classes and interfaces of a Java text.

    Raises:
        EquipoiseError: E_DATA (65) when it does not parse.
    """
    root = parser().parse(source.encode()).root_node
    if root.has_error:
        raise bad_data("generator", "must write Java", got=source, hint="Mend the template")
    found = {}
    for node in root.named_children:
        if node.type in {"class_declaration", "interface_declaration"}:
            one = _read_class(node)
            found[one.name] = one
    return found


def _read_class(node: Node) -> Class:
    parent = node.child_by_field_name("superclass")
    one = Class(text_of(node.child_by_field_name("name")), text_of(parent.named_children[0]) if parent else None)
    for member in named(node.child_by_field_name("body")):
        if member.type == "field_declaration":
            one.fields.append(member)
        elif member.type == "method_declaration":
            one.methods[text_of(member.child_by_field_name("name")), len(parameters_of(member))] = member
        elif member.type == "constructor_declaration":
            one.constructors[len(parameters_of(member))] = member
    return one


def parameters_of(method: Node) -> list[Node]:
    """The nodes of a method's parameters, in order."""
    return named(method.child_by_field_name("parameters"))


def named(node: Node | None) -> list[Node]:
    """A node's children without punctuation and comments; none of no node."""
    return [] if node is None else [child for child in node.named_children if "comment" not in child.type]


def text_of(node: Node | None) -> str:
    """The source of a node; empty for no node."""
    return "" if node is None or node.text is None else node.text.decode()
