"""Whether a text is Java by the grammar (tree-sitter-java): statements, methods, and what an assertion must be."""

from __future__ import annotations

from functools import lru_cache

import tree_sitter_java
from tree_sitter import Language, Node, Parser

_METHOD = ("class C { void t() {\n", "\n} }")
_MEMBER = ("class C {\n", "\n}")


@lru_cache(maxsize=1)
def parser() -> Parser:
    """The one parser of this process; not for use by several threads at a time."""
    return Parser(Language(tree_sitter_java.language()))


def statements(text: str) -> list[Node] | None:
    """The statements that a text consists of, without comments, or None when it is not a run of statements."""
    root = _wrapped(text, _METHOD)
    if root is None:
        return None
    members = _members(root)
    if len(members) != 1 or members[0].type != "method_declaration":
        return None
    body = members[0].child_by_field_name("body")
    return None if body is None else [node for node in body.named_children if "comment" not in node.type]


def is_statement(text: str) -> bool:
    """Whether the text is exactly one Java statement."""
    found = statements(text)
    return found is not None and len(found) == 1


def is_method(text: str) -> bool:
    """Whether the text is exactly one declaration of a method or constructor (in a class, or alone in an interface)."""
    root = _wrapped(text, _MEMBER)
    found = [] if root is None else _members(root)
    kinds = {"method_declaration", "constructor_declaration", "compact_constructor_declaration"}
    return len(found) == 1 and found[0].type in kinds


def is_call(text: str) -> bool:
    """Whether the text is one statement that calls a method by its bare name: what an assertion is."""
    found = statements(text)
    if found is None or len(found) != 1 or found[0].type != "expression_statement":
        return False
    call = found[0].named_children[0]
    return call.type == "method_invocation" and call.child_by_field_name("object") is None


def _wrapped(text: str, around: tuple[str, str]) -> Node | None:
    source = f"{around[0]}{text}{around[1]}".encode("utf-8", "replace")
    root = parser().parse(source).root_node
    return None if root.has_error or len(root.named_children) != 1 else root


def _members(root: Node) -> list[Node]:
    declared = root.named_children[0]
    body = declared.child_by_field_name("body") if declared.type == "class_declaration" else None
    return [] if body is None else [node for node in body.named_children if "comment" not in node.type]
