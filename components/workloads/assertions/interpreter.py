"""Runs the small part of Java that the generator writes, so that its expected values are computed and not believed.

Covered: classes with fields, constructors, methods; int (32 bits, wrapping), double, boolean, char, String, arrays,
ArrayList, HashMap, StringBuilder; local variables, if, while, for, for-each, return, break, continue; the operators.
Anything else is refused with E_DATA: the generator must not write it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tree_sitter import Node

from components.errors import EquipoiseError, bad_data
from components.workloads.assertions.interpreter_classes import Class, named, parameters_of, text_of
from components.workloads.assertions.interpreter_values import (
    Char,
    Exhausted,
    Instance,
    arithmetic,
    call_builtin,
    call_static,
    compare,
    shown,
    static_classes,
)
from components.workloads.assertions.java_syntax import parser

STEPS = 20_000  # statements a run may execute: the generator's loops end long before


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Machine:
    """Runs statements of a test against some classes; `variables` are the test's own."""

    def __init__(self, classes: Mapping[str, Class]) -> None:
        self.classes = classes
        self.variables: dict[str, Any] = {}
        self._left = STEPS

    def run(self, statements: str) -> None:
        """Executes statements of a test."""
        for node in self._statements(statements):
            self._execute(node, self.variables, None)

    def value(self, expression: str) -> Any:
        """What an expression is worth; its side effects remain."""
        (node,) = self._statements(f"{expression};")
        return self._evaluate(node.named_children[0], self.variables, None)

    def _statements(self, text: str) -> list[Node]:
        root = parser().parse(f"class T {{ void t() {{ {text} }} }}".encode()).root_node
        if root.has_error:
            raise bad_data("generator", "must write Java", got=text, hint="Mend the template")
        body = root.named_children[0].child_by_field_name("body")
        return named(named(body)[0].child_by_field_name("body"))

    def _execute(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        self._left -= 1
        if self._left < 0:
            raise Exhausted
        run = _STATEMENTS.get(node.type)
        if run is None:
            raise _strange(node)
        run(self, node, scope, this)

    def _block(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        for child in named(node):
            self._execute(child, scope, this)

    def _declare(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        kind = text_of(node.child_by_field_name("type"))
        for one in node.children_by_field_name("declarator"):
            value = one.child_by_field_name("value")
            name = text_of(one.child_by_field_name("name"))
            scope[name] = _fit(self._evaluate(value, scope, this), kind) if value else _first(kind)

    def _expression(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        self._evaluate(node.named_children[0], scope, this)

    def _if(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        branch = "consequence" if self._evaluate(_field(node, "condition"), scope, this) else "alternative"
        chosen = node.child_by_field_name(branch)
        if chosen is not None:
            self._execute(chosen, scope, this)

    def _while(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        while self._evaluate(_field(node, "condition"), scope, this):
            if self._stopped(_field(node, "body"), scope, this):
                break

    def _for(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        for start in node.children_by_field_name("init"):
            if start.type == "local_variable_declaration":
                self._execute(start, scope, this)
            else:
                self._evaluate(start, scope, this)
        while self._evaluate(_field(node, "condition"), scope, this):
            if self._stopped(_field(node, "body"), scope, this):
                break
            for step in node.children_by_field_name("update"):
                self._evaluate(step, scope, this)

    def _for_each(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        for value in list(self._evaluate(_field(node, "value"), scope, this)):
            scope[text_of(_field(node, "name"))] = value
            if self._stopped(_field(node, "body"), scope, this):
                break

    def _stopped(self, body: Node, scope: dict[str, Any], this: Instance | None) -> bool:
        try:
            self._execute(body, scope, this)
        except _Break:
            return True
        except _Continue:
            return False
        return False

    def _return(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        raise _Return(self._evaluate(node.named_children[0], scope, this) if node.named_children else None)

    def _break(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        raise _Break

    def _continue(self, node: Node, scope: dict[str, Any], this: Instance | None) -> None:
        raise _Continue

    def _evaluate(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        find = _EXPRESSIONS.get(node.type)
        if find is None:
            raise _strange(node)
        return find(self, node, scope, this)

    def _literal(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        text = text_of(node)
        if node.type.startswith("decimal"):
            if not text[-1].isdigit():
                raise _strange(node)  # a long or a float
            return int(text) if "integer" in node.type else float(text)
        if node.type == "string_literal":
            return text[1:-1]
        if node.type == "character_literal":
            return Char(text[1:-1])
        return {"true": True, "false": False, "null": None}[text]

    def _inner(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        return self._evaluate(node.named_children[0], scope, this)

    def _name(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        name = text_of(node)
        if name in scope:
            return scope[name]
        if this is not None and name in this.fields:
            return this.fields[name]
        raise _strange(node)

    def _this(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        return this

    def _field_of(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        owner = self._evaluate(_field(node, "object"), scope, this)
        name = text_of(_field(node, "field"))
        return len(owner) if isinstance(owner, list) else owner.fields[name]

    def _element(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        return self._evaluate(_field(node, "array"), scope, this)[self._evaluate(_field(node, "index"), scope, this)]

    def _unary(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        value = self._evaluate(_field(node, "operand"), scope, this)
        sign = text_of(_field(node, "operator"))
        return (not value) if sign == "!" else arithmetic("-", 0, value) if sign == "-" else value

    def _binary(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        sign = text_of(_field(node, "operator"))
        left = self._evaluate(_field(node, "left"), scope, this)
        if sign in {"&&", "||"} and bool(left) == (sign == "||"):
            return left
        right = self._evaluate(_field(node, "right"), scope, this)
        if sign in {"&&", "||"}:
            return right
        return (
            compare(sign, left, right) if sign in {"==", "!=", "<", "<=", ">", ">="} else arithmetic(sign, left, right)
        )

    def _ternary(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        branch = "consequence" if self._evaluate(_field(node, "condition"), scope, this) else "alternative"
        return self._evaluate(_field(node, branch), scope, this)

    def _assign(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        value = self._evaluate(_field(node, "right"), scope, this)
        sign = text_of(_field(node, "operator"))
        target = _field(node, "left")
        if sign != "=":
            value = arithmetic(sign[:-1], self._evaluate(target, scope, this), value)
        return self._store(target, value, scope, this)

    def _step(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        target = node.named_children[0]
        before = self._evaluate(target, scope, this)
        after = arithmetic("+" if "++" in text_of(node) else "-", before, 1)
        self._store(target, after, scope, this)
        return after if text_of(node)[0] in "+-" else before

    def _store(self, target: Node, value: Any, scope: dict[str, Any], this: Instance | None) -> Any:
        if target.type == "array_access":
            array = self._evaluate(_field(target, "array"), scope, this)
            array[self._evaluate(_field(target, "index"), scope, this)] = value
        elif target.type == "field_access":
            self._evaluate(_field(target, "object"), scope, this).fields[text_of(_field(target, "field"))] = value
        elif text_of(target) in scope or this is None:
            scope[text_of(target)] = value
        else:
            this.fields[text_of(target)] = value
        return value

    def _cast(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        value = self._evaluate(_field(node, "value"), scope, this)
        kind = text_of(_field(node, "type"))
        return float(value) if kind == "double" else int(value) if kind == "int" else value

    def _new_array(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        values = node.child_by_field_name("value")
        if values is not None:
            return [self._evaluate(one, scope, this) for one in values.named_children]
        size = self._evaluate(_field(node, "dimensions").named_children[0], scope, this)
        return [_first(text_of(_field(node, "type")))] * size

    def _new(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        kind = _field(node, "type")
        name = text_of(kind.named_children[0]) if kind.type == "generic_type" else text_of(kind)
        given = [self._evaluate(one, scope, this) for one in _field(node, "arguments").named_children]
        if name not in self.classes:
            return call_static("new", name, given)
        made = Instance(name, {})
        self._initialise(self.classes[name], made)
        constructor = self.classes[name].constructors.get(len(given))
        if constructor is not None:
            self._invoke(constructor, given, made)
        return made

    def _initialise(self, one: Class, made: Instance) -> None:
        if one.parent is not None:
            self._initialise(self.classes[one.parent], made)
        for declaration in one.fields:
            self._declare(declaration, made.fields, made)

    def _call(self, node: Node, scope: dict[str, Any], this: Instance | None) -> Any:
        name = text_of(_field(node, "name"))
        given = [self._evaluate(one, scope, this) for one in _field(node, "arguments").named_children]
        owner = node.child_by_field_name("object")
        if owner is None:
            assert this is not None
            return self.invoke(this, name, given)
        static = text_of(owner)
        if static in self.classes:
            return self.invoke(Instance(static, {}), name, given)
        if static in static_classes():
            return call_static(static, name, given)
        receiver = self._evaluate(owner, scope, this)
        if isinstance(receiver, Instance):
            return self.invoke(receiver, name, given)
        return call_builtin(receiver, name, given)

    def invoke(self, receiver: Instance, name: str, given: list[Any]) -> Any:
        """Calls a method of an object (or, with an empty one, a static method)."""
        kind: str | None = receiver.kind
        while kind is not None:
            one = self.classes[kind]
            if (name, len(given)) in one.methods:
                return self._invoke(one.methods[name, len(given)], given, receiver)
            kind = one.parent
        raise bad_data("generator", "a method must exist", got=f"{receiver.kind}.{name}", hint="Mend the template")

    def _invoke(self, method: Node, given: list[Any], this: Instance) -> Any:
        scope = {
            text_of(_field(one, "name")): _fit(value, text_of(_field(one, "type")))
            for one, value in zip(parameters_of(method), given, strict=True)
        }
        try:
            self._block(_field(method, "body"), scope, this)
        except _Return as result:
            kind = method.child_by_field_name("type")
            return _fit(result.value, text_of(kind)) if kind is not None else result.value
        return None


def _field(node: Node, name: str) -> Node:
    found = node.child_by_field_name(name)
    if found is None:
        raise _strange(node)
    return found


def _fit(value: Any, kind: str) -> Any:
    """Java widens an int where a double is declared."""
    return float(value) if kind == "double" and isinstance(value, int) and not isinstance(value, bool) else value


def _first(kind: str) -> Any:
    return {"int": 0, "double": 0.0, "boolean": False}.get(kind)


def _strange(node: Node) -> EquipoiseError:
    return bad_data("generator", f"must not write {node.type}", got=shown(text_of(node)), hint="Mend the template")


_STATEMENTS: dict[str, Callable[[Machine, Node, dict[str, Any], Instance | None], None]] = {
    "block": Machine._block,
    "local_variable_declaration": Machine._declare,
    "expression_statement": Machine._expression,
    "if_statement": Machine._if,
    "while_statement": Machine._while,
    "for_statement": Machine._for,
    "enhanced_for_statement": Machine._for_each,
    "return_statement": Machine._return,
    "break_statement": Machine._break,
    "continue_statement": Machine._continue,
}
_EXPRESSIONS: dict[str, Callable[[Machine, Node, dict[str, Any], Instance | None], Any]] = {
    **dict.fromkeys(
        (
            "decimal_integer_literal",
            "decimal_floating_point_literal",
            "string_literal",
            "character_literal",
            "true",
            "false",
            "null_literal",
        ),
        Machine._literal,
    ),
    "parenthesized_expression": Machine._inner,
    "identifier": Machine._name,
    "this": Machine._this,
    "field_access": Machine._field_of,
    "array_access": Machine._element,
    "unary_expression": Machine._unary,
    "binary_expression": Machine._binary,
    "ternary_expression": Machine._ternary,
    "assignment_expression": Machine._assign,
    "update_expression": Machine._step,
    "cast_expression": Machine._cast,
    "array_creation_expression": Machine._new_array,
    "object_creation_expression": Machine._new,
    "method_invocation": Machine._call,
}
