"""What is one statement, one method, one call."""

from __future__ import annotations

import pytest

from components.workloads.assertions.java_syntax import is_call, is_method, is_statement, statements


@pytest.mark.parametrize(
    ("text", "statement", "call"),
    [
        ("assertEquals(1, x.y());", True, True),
        ("Assert.assertEquals(1, x);", True, False),
        ("assertTrue(x -> { return y; });", True, True),
        ("int x = 1;", True, False),
        ("a(); b();", False, False),
        ("assertEquals(1, x)", False, False),
        ("assertEquals(1,, x);", False, False),
        ("assertEquals(1, );", False, False),
        ("} void u() { a();", False, False),
        ("a(); } } class D { void v() { b();", False, False),
        ("", False, False),
        ("// only a comment", False, False),
        ("assertEquals(1, x); // said", True, True),
    ],
)
def test_statements_and_calls(text, statement, call):
    assert is_statement(text) is statement
    assert is_call(text) is call


def test_methods():
    assert is_method("@Override public <T> int f(T x) throws E { return 1; }")
    assert is_method("void f();")
    assert is_method("public Stack(int x) { }")
    assert not is_method("int x = 1;")
    assert not is_method("void f() { } void g() { }")
    assert not is_method("void f() {")


def test_comments_are_no_statements():
    found = statements("/* a */ f(); // b\n g();")
    assert found is not None and [node.type for node in found] == ["expression_statement"] * 2
