"""The embedded projects: the same seed gives the same bytes, every row is whole Java, every assertion holds."""

from __future__ import annotations

import random
import shutil
import string
import subprocess
from collections import Counter

import pytest

from components.files import sha256_tree
from components.workloads.assertions import generator
from components.workloads.assertions.generator_classes import FAMILIES
from components.workloads.assertions.generator_names import NAMES
from components.workloads.assertions.generator_tests import Style, write_test
from components.workloads.assertions.java_syntax import is_call, is_method, statements
from components.workloads.assertions.jsonl import read_jsonl
from components.workloads.assertions.pairs import ASSERT_TYPES, copyable
from tests.workloads.assertions.pair_data import section

WORDS = ["lumo", "fena", "torin", "basel", "kimo", "dorun", "pelat", "sivo", "gamen", "rilo", "nutes", "vora"]
STYLE = Style(junit=5, delta="1e-9", iterable=True, subject="full", result="actual", expected="wanted")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    generator.generate(section(embedded_projects=4, embedded_rows=1200), folder)
    return list(read_jsonl(folder))


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generator.write_rows(seed, 3, 90, tmp_path / name)
    digests = [sha256_tree(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_rows_are_whole_java_without_duplicates(embedded):
    assert len(embedded) == 1200
    assert len({pair.id for pair in embedded}) == len(embedded)
    for pair in embedded:
        assert is_method(pair.focal_code), pair
        assert statements(pair.test_prefix), pair
        assert is_call(pair.assertion), pair


def test_kinds_vary_and_values_must_be_computed_as_well_as_copied(embedded):
    kinds = Counter(pair.assert_type for pair in embedded)
    assert len(kinds) >= len(ASSERT_TYPES) - 1
    assert max(kinds.values()) < 0.6 * len(embedded)
    can_copy = sum(copyable(pair.assertion, pair.focal_code, pair.test_prefix) for pair in embedded)
    assert 0.5 < can_copy / len(embedded) < 0.9
    assert 0.3 < sum(pair.prior is None for pair in embedded) / len(embedded) < 0.6
    repeated = sum(pair.prior is not None and pair.prior == pair.assertion for pair in embedded)
    assert repeated < 0.15 * len(embedded)


def test_projects_share_no_names_of_their_own(embedded):
    projects = {pair.project for pair in embedded}
    assert len(projects) == 4
    literals = {name: set() for name in projects}
    for pair in embedded:
        literals[pair.project].update(part for part in pair.test_prefix.split('"')[1::2] if len(part) > 5)
    first, second, *_ = sorted(projects)
    assert len(literals[first] & literals[second]) < 0.1 * len(literals[first])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_names_only_what_it_declares(name):
    family = FAMILIES[name]
    marks = string.Template(family.java).get_identifiers()
    assert set(family.numbers) <= set(marks)
    assert all(mark in NAMES or mark in family.numbers or mark.startswith("w") for mark in marks)
    subject = generator._subject(family, random.Random(1), WORDS)
    assert all(is_method(text) for text in subject.sources.values())
    assert set(subject.methods.values()) <= set(subject.sources)
    assert family.found <= set(family.asks)


@pytest.mark.skipif(shutil.which("javac") is None, reason="no Java compiler here: the assertions cannot be run by one")
def test_java_itself_finds_every_assertion_true(tmp_path):
    checks = """
  static void check(boolean good, String where) { if (!good) throw new AssertionError(where); }
  static void assertEquals(Object a, Object b) { check(Objects.equals(a, b), a + " " + b); }
  static void assertEquals(double a, double b, double d) { check(Math.abs(a - b) <= d, a + " " + b); }
  static void assertNotEquals(Object a, Object b) { check(!Objects.equals(a, b), a + " " + b); }
  static void assertTrue(boolean a) { check(a, "true"); }
  static void assertFalse(boolean a) { check(!a, "false"); }
  static void assertNull(Object a) { check(a == null, "null"); }
  static void assertNotNull(Object a) { check(a != null, "not null"); }
  static void assertSame(Object a, Object b) { check(a == b, "same"); }
  static void assertNotSame(Object a, Object b) { check(a != b, "not same"); }
  static void assertArrayEquals(int[] a, int[] b) { check(Arrays.equals(a, b), Arrays.toString(b)); }
  static void assertIterableEquals(Iterable<?> a, Iterable<?> b) { check(a.equals(b), a + " " + b); }
  static void assertInstanceOf(Class<?> c, Object o) { check(c.isInstance(o), c + " " + o); }
"""
    written, calls = [], []
    for number, (name, family) in enumerate(sorted(FAMILIES.items())):
        chance = random.Random(f"java/{name}")
        subject = generator._subject(family, chance, WORDS)
        code = subject.source.replace("public class", "static class").replace("\nclass ", "\nstatic class ")
        tests = [row for i in range(12) for row in write_test(subject, STYLE, chance, i)]
        assert len(tests) >= 8, name
        bodies = "\n".join(
            "\n".join([f"static void t{i}() {{", *row.prefix, row.assertion, "}"]) for i, row in enumerate(tests)
        )
        written.append(f"static class K{number} {{\n{code}\n{bodies}\n}}")
        calls += [f"K{number}.t{i}();" for i in range(len(tests))]
    main = f"public static void main(String[] given) {{ {' '.join(calls)} System.out.print({len(calls)}); }}"
    source = f"import java.util.*;\npublic class All {{ {checks}\n{''.join(written)}\n{main} }}"
    (tmp_path / "All.java").write_text(source)
    subprocess.run(["javac", "-nowarn", "All.java"], cwd=tmp_path, check=True, capture_output=True)
    ran = subprocess.run(["java", "-cp", ".", "All"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == len(calls) > 200
