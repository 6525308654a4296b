"""Unit tests in Java sources: test methods of JUnit 3, 4 and 5, and the assertions in them that become rows."""

from __future__ import annotations

import textwrap
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node

from components.workloads.assertions.java_sources import class_nodes, declarations, text_of
from components.workloads.assertions.pairs import ASSERT_TYPES, QUALIFIERS


@dataclass(frozen=True)
class Test:
    """One test method: its classes, its name and the statements of its body."""

    test_class: str
    outer_class: str
    name: str
    own_methods: frozenset[str]
    statements: tuple[Node, ...]


def tests_of(root: Node) -> Iterator[Test]:
    """The test methods of a file, in its order: `@Test`, or `test*` in a class that extends a `*Test*` class; none with
    parameters."""
    for node in class_nodes(root):
        if node.type != "class_declaration" and node.type != "record_declaration":
            continue
        name = text_of(node.child_by_field_name("name"))
        declared = [member for member in declarations(node) if member.type == "method_declaration"]
        own = frozenset(text_of(method.child_by_field_name("name")) for method in declared)
        for method in declared:
            if _is_test(method, node):
                body = method.child_by_field_name("body")
                statements = () if body is None else tuple(s for s in body.named_children if "comment" not in s.type)
                yield Test(name, _outermost(node), text_of(method.child_by_field_name("name")), own, statements)


def assertion_in(statement: Node) -> Node | None:
    """The call, when a statement is an assertion of a kind that becomes a row: one source line, no comment, no lambda,
    unqualified or qualified with Assert or Assertions."""
    if statement.type != "expression_statement" or statement.start_point[0] != statement.end_point[0]:
        return None
    call = statement.named_children[0]
    if call.type != "method_invocation" or text_of(call.child_by_field_name("name")) not in ASSERT_TYPES:
        return None
    owner = call.child_by_field_name("object")
    if owner is not None and text_of(owner) not in QUALIFIERS:
        return None
    return None if _holds(statement, ("lambda_expression", "line_comment", "block_comment")) else call


def cleaned(source: bytes, start: int, end: int, comments: Sequence[tuple[int, int]]) -> str:
    """The text of a stretch of a file without comments and blank lines, its common indentation removed.

    Args:
        comments: the file's, as `comments_of` gives them.
    """
    line_start = source.rfind(b"\n", 0, start) + 1
    indent = source[line_start:start] if not source[line_start:start].strip() else b""
    kept = [indent]
    at = start
    for first, last in comments[bisect_left(comments, (start, start)) :]:
        if first >= end:
            break
        kept.append(source[at:first])
        at = last
    kept.append(source[at:end])
    text = b"".join(kept).decode().replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    return textwrap.dedent("\n".join(lines))


def comments_of(root: Node) -> list[tuple[int, int]]:
    """Where the comments of a file begin and end, in bytes, in order."""
    found = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in {"line_comment", "block_comment"}:
            found.append((node.start_byte, node.end_byte))
        else:
            waiting.extend(node.children)
    return sorted(found)


def _is_test(method: Node, owner: Node) -> bool:
    parameters = method.child_by_field_name("parameters")
    if parameters is None or parameters.named_children:
        return False
    modifiers = next((child for child in method.children if child.type == "modifiers"), None)
    for one in modifiers.named_children if modifiers else ():
        if "annotation" in one.type and text_of(one.child_by_field_name("name")).rsplit(".", 1)[-1] == "Test":
            return True
    parent = owner.child_by_field_name("superclass")
    named = text_of(method.child_by_field_name("name"))
    return named.startswith("test") and parent is not None and "Test" in text_of(parent)


def _outermost(node: Node) -> str:
    name, above = text_of(node.child_by_field_name("name")), node.parent
    while above is not None:
        if above.type.endswith("_declaration") and above.child_by_field_name("name") is not None:
            name = text_of(above.child_by_field_name("name"))
        above = above.parent
    return name


def _holds(node: Node, kinds: tuple[str, ...]) -> bool:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type in kinds:
            return True
        waiting.extend(one.children)
    return False
