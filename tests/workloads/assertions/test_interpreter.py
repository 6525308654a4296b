"""The small Java: its arithmetic, strings, objects and limits, against what Java does."""

from __future__ import annotations

import pytest

from components.errors import EquipoiseError
from components.workloads.assertions.interpreter import Machine
from components.workloads.assertions.interpreter_classes import read_classes
from components.workloads.assertions.interpreter_values import Exhausted, Instance, Thrown, wrapped

CLASS = """
public class Box {
    private int n = 3;
    private Box next;
    public Box(int n) { this.n = n; }
    public int get() { return n; }
    public Box link(Box other) { next = other; return next; }
    public double half() { return n / 2; }
    public double exact() { return n / 2.0; }
    public static int twice(int x) { return 2 * x; }
    public int count(int limit) {
        int found = 0;
        for (int i = 0; i < limit; i++) {
            if (i % 2 == 0) { continue; }
            if (i > 7) { break; }
            found += i;
        }
        return found;
    }
}
class Lid extends Box {
}
"""
# expression, value; the interpreter must do what Java does
VALUES = [
    ("7 / 2", 3),
    ("-7 / 2", -3),
    ("-7 % 3", -1),
    ("7 % -3", 1),
    ("2147483647 + 1", -2147483648),
    ("1000000 * 1000000", -727379968),
    ("7 / 2.0", 3.5),
    ('1 + 2 + "a" + 1 + 2', "3a12"),
    ("\"a\" + 'b' + true + null", "abtruenull"),
    ("'a' == 'a'", True),
    ('"a".equals("a") && !"a".equals(null)', True),
    ('"abc".substring(1)', "bc"),
    ('"abc".substring(1, 2)', "b"),
    ('"abc".indexOf("z")', -1),
    ('"abc".charAt(2)', "c"),
    ('new StringBuilder("ab").append(1).reverse().toString()', "1ba"),
    ("(int) 2.9", 2),
    ("false || 1 < 2", True),
    ("new int[] {4, 5}[1]", 5),
    ("new int[3].length", 3),
    ("Arrays.asList(1, 2).contains(2)", True),
    ("Math.max(-3, 2)", 2),
    ("new Box(5).get()", 5),
    ("new Box(5).half()", 2.0),
    ("new Box(5).exact()", 2.5),
    ("Box.twice(4)", 8),
    ("new Box(1).count(20)", 1 + 3 + 5 + 7),
    ("new Lid().get()", 3),
    ("-(3)", -3),
]


@pytest.fixture(scope="module")
def classes():
    return read_classes(CLASS)


@pytest.mark.parametrize(("expression", "value"), VALUES)
def test_values(classes, expression, value):
    found = Machine(classes).value(expression)
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)
    assert isinstance(found, float) == isinstance(value, float)


def test_statements_keep_their_effects(classes):
    machine = Machine(classes)
    machine.run(
        "Box a = new Box(1); Box b = a.link(new Box(2)); int x = a.get(); x += b.get(); int y = x++; double d = 3;"
    )
    assert (machine.variables["x"], machine.variables["y"], machine.variables["d"]) == (4, 3, 3.0)
    assert isinstance(machine.variables["d"], float)
    machine.run('Map<String, Integer> m = new HashMap<>(); m.put("a", 1); int[] v = new int[2]; v[1] = 7;')
    assert machine.value('m.get("a")') == 1
    assert machine.value('m.get("b")') is None
    assert machine.value("v[1] - v[0]") == 7
    assert isinstance(machine.value("a"), Instance)
    assert machine.value("a == a") is True
    assert machine.value("a == b") is False


@pytest.mark.parametrize("expression", ["1 / 0", '"ab".charAt(5)', '"ab".substring(2, 1)', "null.size()"])
def test_what_throws_in_java_throws(classes, expression):
    machine = Machine(classes)
    if expression.startswith("null"):
        machine.run("List<String> nothing = null;")
        expression = "nothing.size()"
    with pytest.raises(Thrown):
        machine.value(expression)


def test_an_endless_loop_ends(classes):
    with pytest.raises(Exhausted):
        Machine(classes).run("int x = 0; while (true) { x++; }")


@pytest.mark.parametrize("text", ["synchronized (a) { }", "int x = 1L;", "foo(", "int x = a ? 1;", '"a".strip();'])
def test_what_is_not_covered_is_refused(classes, text):
    with pytest.raises(EquipoiseError):
        Machine(classes).run(text)


def test_ints_wrap_at_32_bits():
    assert [wrapped(v) for v in (2**31 - 1, 2**31, -(2**31) - 1, 2**32)] == [2**31 - 1, -(2**31), 2**31 - 1, 0]
