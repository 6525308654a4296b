"""Rows from folders of Java projects: every top-level assertion of every unit test, with the method it is about."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from components.errors import EquipoiseError
from components.workloads.assertions.fields import labelled
from components.workloads.assertions.java_focal import choose
from components.workloads.assertions.java_sources import Project, is_test_file, parsed, projects, read_classes
from components.workloads.assertions.java_tests import Test, assertion_in, cleaned, comments_of, tests_of
from components.workloads.assertions.java_tokens import tokens
from components.workloads.assertions.pairs import QUALIFIERS, Pair

ASSERTION_TOKENS, FOCAL_TOKENS, PREFIX_TOKENS = 64, 400, 400
Comments = Sequence[tuple[int, int]]
Reader = Callable[[str], tuple[bytes, Comments]]
ORDER = 2026  # seed of the order in which rows are kept where there are too many


def read_java(source: Path, rows_per_project: int, rows_per_test: int, counts: Counter[str]) -> Iterator[Pair]:
    """The rows of all projects below a folder, one project after the other, each sorted by path, class and test.

    Memory holds the methods' places and the kept rows of one project.

    Args:
        rows_per_project, rows_per_test: kept at most, by the order of a seeded hash.
        counts: filled with what was left out and why.

    Raises:
        EquipoiseError: E_MISSING (66) without Java sources.
    """
    seen: set[str] = set()
    for project in projects(source):
        read_classes(project)
        yield from _kept(_rows(project, counts, rows_per_test, seen), rows_per_project)
        counts.update(project.skipped)


def _kept(rows: Iterator[Pair], limit: int) -> list[Pair]:
    """The first rows by hash, sorted as the data are."""
    chosen = heapq.nsmallest(limit, rows, key=_rank)
    return sorted(chosen, key=lambda pair: (pair.path, pair.test_class, pair.test_name, pair.n_prior_asserts, pair.id))


def _rank(pair: Pair) -> str:
    return hashlib.sha256(f"rows/{ORDER}\0{pair.id}".encode()).hexdigest()  # no seed of a split gives this order


def _rows(project: Project, counts: Counter[str], rows_per_test: int, seen: set[str]) -> Iterator[Pair]:
    """Rows that no earlier project has: one project grew out of another, and its tests went with it."""
    read = _reader(project)
    for path in project.files:
        if b"assert" not in project.bytes_of(path) or not (is_test_file(path) or "Test" in path.rsplit("/", 1)[-1]):
            continue
        found = parsed(project, path)
        if found is None:
            continue
        source, tree = found
        comments = comments_of(tree.root_node)
        for test in tests_of(tree.root_node):
            rows = []
            for pair in _rows_of(project, path, source, comments, test, read, counts):
                if pair.id in seen:
                    counts["duplicates"] += 1
                else:
                    seen.add(pair.id)
                    rows.append(pair)
            yield from sorted(rows, key=_rank)[:rows_per_test]


def _rows_of(
    project: Project, path: str, source: bytes, comments: Comments, test: Test, read: Reader, counts: Counter[str]
) -> Iterator[Pair]:
    """The rows of one test method."""
    package = _package(path)
    for number, statement in enumerate(test.statements):
        call = assertion_in(statement)
        if call is None:
            continue
        counts["assertions"] += 1
        if number == 0:
            counts["assertions that are the first statement"] += 1
            continue
        text = _bare(source[statement.start_byte : statement.end_byte].decode())
        if len(tokens(text)) > ASSERTION_TOKENS:
            counts["assertions that are too long"] += 1
            continue
        before = test.statements[:number]
        prefix = cleaned(source, before[0].start_byte, statement.start_byte, comments)
        if len(tokens(prefix)) > PREFIX_TOKENS:
            counts["prefixes that are too long"] += 1
            continue
        focal = choose(project, test.test_class, test.outer_class, test.name, test.own_methods, package, call, before)
        if focal is None:
            counts["assertions without a focal method"] += 1
            continue
        focal_source, focal_comments = read(focal.owner.path)
        code = cleaned(focal_source, focal.method.start, focal.method.end, focal_comments)
        if len(tokens(code)) > FOCAL_TOKENS:
            counts["focal methods that are too long"] += 1
            continue
        row = {
            "project": project.name,
            "licence": project.licence,
            "path": path,
            "test_class": test.test_class,
            "test_name": test.name,
            "focal_class": focal.owner.name,
            "focal_method": focal.method.name,
            "focal_path": focal.owner.path,
            "focal_code": code,
            "test_prefix": prefix,
            "assertion": text,
        }
        try:
            yield labelled(row, f"{project.place / path}:{statement.start_point[0] + 1}")
        except EquipoiseError:
            counts["assertions that are no whole Java"] += 1


def _reader(project: Project) -> Reader:
    """Reads files with classes under test, the last ones remembered: tests of one class stand together."""

    @lru_cache(maxsize=64)
    def read(path: str) -> tuple[bytes, Comments]:
        found = parsed(project, path)
        assert found is not None, "the file parsed when its classes were read"
        return found[0], comments_of(found[1].root_node)

    return read


def _package(path: str) -> str:
    """The folders of a test's package: what follows the root of the sources, as far as that can be told."""
    folder = path.rsplit("/", 1)[0] if "/" in path else ""
    return folder.rsplit("/java/", 1)[-1]


def _bare(text: str) -> str:
    """Without the qualifier before the assertion's name."""
    found = tokens(text)
    if found[0] in QUALIFIERS and found[1] == ".":
        return text.split(".", 1)[1].lstrip()
    return text
