"""Rows from Java sources, rule by rule, on small projects written here."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from components.errors import EquipoiseError
from components.workloads.assertions.java_extract import read_java
from components.workloads.assertions.java_sources import Project, has_sources, is_test_file, projects, simple_type
from components.workloads.assertions.pairs import identity

MAIN = "src/main/java/org/a/"
TEST = "src/test/java/org/a/"
STACK = """
package org.a;
/** Of things. */
public class Stack {
    private int n;

    /** How many. */
    @Deprecated
    public int size() {
        // counts

        return n; /* here */
    }

    public boolean add(int x) { return true; }
    public boolean add(String x) { return false; }
    public boolean add(long x, int... more) { return true; }
    public int sizeOf(int[] x) { return 1; }
    abstract int nothing();
    static class Inner { int depth() { return 2; } }
}
"""
COLOUR = "package org.a; enum Colour { RED; static Colour of(String s) { return RED; } }"


def extract(place: Path, *tests: str, rows: int = 99, each: int = 99, name: str = "StackTest", **more: str):
    """Rows and counts of one project whose test class has these members."""
    files = {
        MAIN + "Stack.java": STACK,
        MAIN + "Colour.java": COLOUR,
        TEST + f"{name}.java": f"package org.a; public class {name} {{ {' '.join(tests)} }}",
        **more,
    }
    for path, text in files.items():
        target = place / "one" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    counts: Counter[str] = Counter()
    return list(read_java(place, rows, each, counts)), counts


def test(body: str, name: str = "testSize", head: str = "@Test public") -> str:
    return f"{head} void {name}() {{ {body} }}"


test.__test__ = False  # type: ignore[attr-defined]


def test_a_row_has_all_fields_cleaned(tmp_path):
    body = """
        // makes one
        Stack s = new Stack();

            s.add(1); /* one
            two */
        Assert.assertEquals(1, s.size());
        Assertions.assertTrue(s.size() > 0);
    """
    (first, second), counts = extract(tmp_path, test(body), **{"LICENSE.txt": "Apache License\nVersion 2.0"})
    assert first.focal_code == "@Deprecated\npublic int size() {\n    return n;\n}"
    assert first.test_prefix == "Stack s = new Stack();\n    s.add(1);"
    assert first.assertion == "assertEquals(1, s.size());"
    assert second.assertion == "assertTrue(s.size() > 0);"
    assert second.test_prefix.endswith("Assert.assertEquals(1, s.size());")
    assert (first.n_prior_asserts, second.n_prior_asserts) == (0, 1)
    assert (first.project, first.path, first.licence) == ("one", TEST + "StackTest.java", "Apache-2.0")
    assert (first.test_class, first.test_name) == ("StackTest", "testSize")
    assert (first.focal_class, first.focal_method, first.focal_path) == ("Stack", "size", MAIN + "Stack.java")
    assert first.id == identity(first.focal_code, first.test_prefix, first.assertion)
    assert counts["assertions"] == 2


@pytest.mark.parametrize(
    ("member", "found"),
    [
        ("@Test void any() { Stack s = f(); assertEquals(1, s.size()); }", 1),
        ("@org.junit.Test public void any() { Stack s = f(); assertEquals(1, s.size()); }", 1),
        ("@Test(timeout = 5) public void any() { Stack s = f(); assertEquals(1, s.size()); }", 1),
        ("public void testAny() { Stack s = f(); assertEquals(1, s.size()); }", 0),
        ("@Test void any(int x) { Stack s = f(); assertEquals(1, s.size()); }", 0),
        ("@ParameterizedTest void any() { Stack s = f(); assertEquals(1, s.size()); }", 0),
        ("@Before void any() { Stack s = f(); assertEquals(1, s.size()); }", 0),
        (
            "static class StackTest2 extends TestCase { public void testX() { Stack s = f(); assertNull(s.size()); } }",
            0,
        ),
        ("static class StackTest extends AbstractTest { void testX() { Stack s = f(); assertNull(s.size()); } }", 1),
        ("static class StackTest extends Base { void testX() { Stack s = f(); assertNull(s.size()); } }", 0),
    ],
)
def test_which_methods_are_tests(tmp_path, member, found):
    rows, _ = extract(tmp_path, member)
    assert len(rows) == found or "StackTest2" in member


@pytest.mark.parametrize(
    "statement",
    [
        "for (;;) { assertEquals(1, s.size()); }",
        "try { assertEquals(1, s.size()); } finally { }",
        "run(() -> assertEquals(1, s.size()));",
        "assertEquals(1,\n s.size());",
        "assertEquals(1, /* one */ s.size());",
        "assertEquals(1, s.map(x -> s.size()));",
        "assertThat(s.size(), is(1));",
        "assertThrows(E.class, s.size());",
        "Other.assertEquals(1, s.size());",
        "int x = assertEquals(1, s.size());",
        f"assertEquals(s.size(), {' + '.join('1' for _ in range(40))});",
    ],
)
def test_which_assertions_do_not_become_rows(tmp_path, statement):
    rows, _ = extract(tmp_path, test(f"Stack s = f(); {statement}"))
    assert rows == []


def test_a_prefix_is_never_empty_and_bounded(tmp_path):
    rows, counts = extract(tmp_path, test("assertEquals(1, new Stack().size());"))
    assert rows == [] and counts["assertions that are the first statement"] == 1
    rows, counts = extract(tmp_path, test("f(1);" * 100 + "assertEquals(1, s.size());"))
    assert rows == [] and counts["prefixes that are too long"] == 1
    long = STACK.replace("return n;", "f(1);" * 100 + "return n;")
    rows, counts = extract(tmp_path, test("f(); assertEquals(1, s.size());"), **{MAIN + "Stack.java": long})
    assert rows == [] and counts["focal methods that are too long"] == 1


@pytest.mark.parametrize(
    ("body", "name", "focal"),
    [
        ("Stack s = f(); assertEquals(1, s.size());", "testAny", "public int size()"),
        ("Stack s = f(); s.add(1); assertTrue(ok);", "testAny", "public boolean add(int x)"),
        ('Stack s = f(); s.add("a"); assertTrue(ok);', "testAny", "public boolean add(String x)"),
        ("Stack s = f(); s.add(1L, 2, 3); assertTrue(ok);", "testAny", "public boolean add(long x, int... more)"),
        ("Stack s = f(); String x = g(); s.add(x); assertTrue(ok);", "testAny", "public boolean add(String x)"),
        ("Stack s = f(); s.add((String) g()); assertTrue(ok);", "testAny", "public boolean add(String x)"),
        ("s.add(1); int n = s.size(); assertTrue(ok);", "testAny", "public int size()"),
        ("s.add(1); int n = s.size(); assertTrue(ok);", "testAddTwice", "public boolean add(int x)"),
        ("s.size(); s.sizeOf(x); assertTrue(ok);", "testSizeOfAll", "public int sizeOf(int[] x)"),
        ('int x = s.size(); assertSame(x, Colour.of("red"));', "testAny", "static Colour of(String s)"),
        ('int x = 1; assertSame(x, org.a.Colour.of("red"));', "testAny", "static Colour of(String s)"),
        ("int x = 1; assertEquals(1, s.size(x));", "testSize", None),
        ("int x = 1; assertEquals(1, Arrays.size());", "testSize", None),
        ("int x = 1; assertEquals(1, s.nothing());", "testSize", None),
        ("int x = 1; assertEquals(1, helper());", "testSize", None),
    ],
)
def test_the_method_under_test(tmp_path, body, name, focal):
    rows, counts = extract(tmp_path, test(body, name), "int helper() { return 1; }")
    if focal is None:
        assert rows == [] and counts["assertions without a focal method"] == 1
    else:
        assert focal in rows[0].focal_code


def test_own_methods_of_the_test_class_are_not_under_test(tmp_path):
    rows, _ = extract(tmp_path, test("int x = 1; assertEquals(1, size());"), "int size() { return 1; }")
    assert rows == []
    rows, _ = extract(tmp_path / "b", test("int x = 1; assertEquals(1, size());"))
    assert len(rows) == 1


@pytest.mark.parametrize("name", ["StackTest", "TestStack", "StackTests", "StackTestCase"])
def test_names_of_test_classes(tmp_path, name):
    rows, _ = extract(tmp_path, test("f(); assertEquals(1, s.size());"), name=name)
    assert [row.focal_class for row in rows] == ["Stack"]


def test_nested_classes_have_their_inner_name(tmp_path):
    nested = f"class InnerTest {{ {test('f(); assertEquals(1, x.depth());')} }}"
    rows, _ = extract(tmp_path, nested)
    assert [(row.test_class, row.focal_class) for row in rows] == [("InnerTest", "Inner")]


def test_rows_are_bounded_a_test_and_a_project_by_a_fixed_order(tmp_path):
    made = " ".join(f"assertEquals({j}, s.size());" for j in range(5))
    bodies = [test(f"f({i}); {made}", f"t{i}") for i in range(6)]
    everything, _ = extract(tmp_path, *bodies)
    assert len(everything) == 30
    two, _ = extract(tmp_path, *bodies, each=2)
    assert sorted(Counter(row.test_name for row in two).values()) == [2] * 6
    seven, _ = extract(tmp_path, *bodies, each=2, rows=7)
    assert len(seven) == 7 and set(seven) <= set(two) <= set(everything)
    assert seven == extract(tmp_path, *bodies, each=2, rows=7)[0]
    assert [row.test_name for row in seven] == sorted(row.test_name for row in seven)


def test_what_an_earlier_project_has_is_dropped(tmp_path):
    extract(tmp_path, test("f(); assertEquals(1, s.size());"))
    (tmp_path / "one").rename(tmp_path / "two")
    rows, counts = extract(tmp_path, test("f(); assertEquals(1, s.size());"))
    assert [row.project for row in rows] == ["one"] and counts["duplicates"] == 1


BAD = {
    "a file that does not parse": ("public class X { void f( { }", "files that do not parse"),
    "half a file": (STACK[:300], "files that do not parse"),
    "a stray literal": ('class X { String s = "a; }', "files that do not parse"),
    "NUL": ("class X { }\0", "files that are not text"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_cannot_be_read_are_left_out_and_counted(tmp_path, name):
    text, why = BAD[name]
    rows, counts = extract(tmp_path, test("f(); assertEquals(1, s.size());"), **{MAIN + "Broken.java": text})
    assert len(rows) == 1 and counts[why] == 1


def test_bytes_that_are_not_utf8_and_large_files_are_left_out_and_counted(tmp_path, monkeypatch):
    path = tmp_path / "one" / MAIN / "Latin.java"
    path.parent.mkdir(parents=True)
    path.write_bytes("class Größe { }".encode("latin-1"))
    path.with_name("Large.java").write_text("class Large { }" + " " * (5 << 20))
    rows, counts = extract(tmp_path, test("f(); assertEquals(1, s.size());"))
    assert len(rows) == 1
    assert counts["files that are not UTF-8"] == counts["files that are too large"] == 1


def test_a_byte_order_mark_windows_lines_and_escapes_are_java(tmp_path):
    body = 'String x = "\\u000a 名";\r\n    // gone\r\n    f(x);\r\n    assertEquals("\\u0041", s.size());'
    text = f"\ufeffclass StackTest {{\r\n {test(body)} }}"
    rows, _ = extract(tmp_path, name="OtherTest", **{TEST + "StackTest.java": text})
    (row,) = rows
    assert row.test_prefix == 'String x = "\\u000a 名";\n    f(x);'
    assert row.assertion == 'assertEquals("\\u0041", s.size());'


def test_empty_methods_and_deep_nesting_do_no_harm(tmp_path):
    empty = STACK.replace("return n;", "")
    deep = "int x = " + "(" * 3000 + "1" + ")" * 3000 + ";"
    rows, counts = extract(
        tmp_path,
        test("", "testNothing"),
        test(deep + " assertEquals(1, s.size());", "testDeep"),
        test("f(); assertEquals(1, s.size());"),
        **{MAIN + "Stack.java": empty},
    )
    assert [row.focal_code for row in rows] == ["@Deprecated\npublic int size() {\n}"]
    assert counts["prefixes that are too long"] == 1


def test_links_and_hidden_folders_are_not_followed(tmp_path):
    extract(tmp_path, test("f(); assertEquals(1, s.size());"))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "X.java").write_text("class X { }")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    (tmp_path / "one" / "round").symlink_to(tmp_path / "one")
    assert [project.name for project in projects(tmp_path)] == ["one"]


def test_archives_hold_the_same_rows_as_folders(tmp_path):
    rows, _ = extract(tmp_path / "plain", test("f(); assertEquals(1, s.size());"), LICENSE="MIT License")
    source = tmp_path / "plain" / "one"
    names = [path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()]
    for folder in ("tar", "zip"):
        (tmp_path / folder).mkdir()
    with tarfile.open(tmp_path / "tar" / "one.tar.gz", "w:gz") as packed:
        for name in names:
            info = tarfile.TarInfo(f"one-c0ffee/{name}")
            raw = (source / name).read_bytes()
            info.size = len(raw)
            packed.addfile(info, io.BytesIO(raw))
    with zipfile.ZipFile(tmp_path / "zip" / "one.zip", "w") as packed:
        for name in names:
            packed.writestr(f"one-c0ffee/{name}", (source / name).read_bytes())
    for folder in ("tar", "zip"):
        assert has_sources(tmp_path / folder)
        assert list(read_java(tmp_path / folder, 99, 99, Counter())) == rows


def test_a_damaged_archive_and_an_empty_folder_are_refused(tmp_path):
    assert not has_sources(tmp_path) and not has_sources(tmp_path / "nowhere")
    with pytest.raises(EquipoiseError, match="folder of projects") as caught:
        list(read_java(tmp_path, 9, 9, Counter()))
    assert caught.value.exit_code == 66
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(EquipoiseError, match="undamaged archive"):
        list(read_java(tmp_path, 9, 9, Counter()))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../T.java", tarfile.REGTYPE), ("/tmp/T.java", tarfile.REGTYPE), ("one/T.java", tarfile.SYMTYPE)],
)
def test_an_archive_that_reaches_out_of_itself_is_refused(tmp_path, name, kind):
    (tmp_path / "java").mkdir()
    with tarfile.open(tmp_path / "java" / "one.tar.gz", "w:gz") as packed:
        for member, type_ in (("one/src/A.java", tarfile.REGTYPE), (name, kind)):
            info = tarfile.TarInfo(member)
            info.type, info.linkname = type_, "../../etc/passwd"
            packed.addfile(info, io.BytesIO(b""))
    with pytest.raises(EquipoiseError) as caught:
        list(read_java(tmp_path / "java", 9, 9, Counter()))
    assert (caught.value.code, caught.value.exit_code) == ("E_ARCHIVE", 65)
    assert [path.name for path in tmp_path.rglob("*.java")] == []


def test_where_tests_lie():
    assert is_test_file("src/test/java/A.java") and is_test_file("x/tests/A.java") and is_test_file("a-test/A.java")
    assert not is_test_file("src/main/java/ATest.java") and not is_test_file("Test.java")


def test_simple_types():
    assert simple_type("java.util.Map<K, java.util.List<V>>[]") == "Map[]"
    assert simple_type("int []") == "int[]"


def test_a_file_that_vanishes_is_named(tmp_path):
    project = Project("p", tmp_path, "", ("A.java",))
    with pytest.raises(EquipoiseError, match=r"A\.java: must be a readable file"):
        project.bytes_of("A.java")
