"""The embedded data: seeded Java projects with classes and unit tests, written as rows in the real format.

What makes them hard: expected values are what the method returns after the test's own steps, so they must be computed
(counts, sums, branches, turned or joined strings) or copied (arguments, constants of the method); the kind of the
assertion follows from the type and from the value; names, constants and words differ between projects, and whole
projects are held out. What a test asserted before is near what it asserts now, but seldom the same.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.files import write_text
from components.workloads.assertions.fields import labelled
from components.workloads.assertions.generator_classes import FAMILIES
from components.workloads.assertions.generator_names import NAMES, Family
from components.workloads.assertions.generator_tests import Row, Style, Subject, write_test
from components.workloads.assertions.interpreter_classes import read_classes
from components.workloads.assertions.jsonl import to_line
from components.workloads.assertions.pairs import Pair

CLASSES = 12  # of a project
WORDS = 40  # of a project
LICENCE = "Apache-2.0"


def generate(section: Any, folder: Path) -> None:
    """Writes rows.jsonl for an `assertions` section."""
    data = section.data
    write_rows(data.seed, data.embedded_projects, data.embedded_rows, folder)


def write_rows(seed: int, projects: int, rows: int, folder: Path) -> None:
    """The same seed and numbers give the same bytes.

    Args:
        projects: how many; each has about as many rows as the others.
        rows: in all, a few more or fewer.
        folder: where rows.jsonl is written, whole or not at all.

    Raises:
        EquipoiseError: E_WRITE (73) or E_IO (74).
    """
    lines = [to_line(pair) for number in range(projects) for pair in project(seed, number, rows // projects)]
    write_text(folder / "rows.jsonl", "".join(lines))


def project(seed: int, number: int, rows: int) -> Iterator[Pair]:
    """The rows of one project, tests of a class together."""
    chance = random.Random(f"{seed}/{number}")
    name = f"{_word(chance, 2)}-{_word(chance, 2)}"
    words = sorted({_word(chance, chance.randint(1, 3)) for _ in range(WORDS)} | {_word(chance, 3) for _ in range(8)})
    style = Style(
        junit=chance.choice((3, 4, 5)),
        delta=chance.choice(("1e-9", "0.001", "1.0E-6", "EPSILON")),
        iterable=chance.random() < 0.4,
        subject=chance.choice(("full", "full", "short", "subject")),
        result=chance.choice(("result", "actual", "found")),
        expected=chance.choice(("expected", "wanted", "target")),
    )
    families = chance.sample(sorted(FAMILIES), min(CLASSES, len(FAMILIES)))
    for at, family in enumerate(families):
        subject = _subject(FAMILIES[family], chance, words)
        wanted = rows * (at + 1) // len(families) - rows * at // len(families)
        yield from _tests(name, subject, style, chance, wanted)


def _tests(name: str, subject: Subject, style: Style, chance: random.Random, wanted: int) -> Iterator[Pair]:
    seen: set[str] = set()
    number = 0
    while len(seen) < wanted and number < 20 * wanted:
        number += 1
        for row in write_test(subject, style, chance, number):
            pair = _pair(name, subject, row)
            if pair.id not in seen and len(seen) < wanted:
                seen.add(pair.id)
                yield pair


def _pair(name: str, subject: Subject, row: Row) -> Pair:
    package = name.replace("-", "/")
    return labelled(
        {
            "project": name,
            "licence": LICENCE,
            "path": f"src/test/java/{package}/{subject.name}Test.java",
            "test_class": f"{subject.name}Test",
            "test_name": row.test_name,
            "focal_class": subject.name,
            "focal_method": row.method,
            "focal_path": f"src/main/java/{package}/{subject.name}.java",
            "focal_code": subject.sources[row.method],
            "test_prefix": "\n".join(row.prefix),
            "assertion": row.assertion,
        },
        "generator",
    )


def _subject(family: Family, chance: random.Random, words: list[str]) -> Subject:
    """A family with the names, numbers and words of this project."""
    template = string.Template(family.java)
    chosen: dict[str, str] = {}
    for mark in template.get_identifiers():
        if mark in NAMES:
            options = [option for option in NAMES[mark] if option not in chosen.values()]
            chosen[mark] = chance.choice(options)
        elif mark in family.numbers:
            chosen[mark] = str(chance.randint(*family.numbers[mark]))
        else:
            assert mark.startswith("w"), mark
            chosen[mark] = chance.choice([word for word in words if word not in chosen.values()])
    source = template.substitute(chosen).strip()
    classes = read_classes(source)
    name = next(iter(classes))
    methods = {
        ask: string.Template(ask).substitute(chosen) if "$" in ask else chosen.get(ask, ask)
        for ask in (*family.steps, *family.asks)
    }
    declared = {key[0]: node for key, node in classes[name].methods.items()}
    sources = {method: _dedented(source, node) for method, node in declared.items()}
    returns = {method: _text(node.child_by_field_name("type")) for method, node in declared.items()}
    constants = [value for mark, value in chosen.items() if mark.startswith("w") and mark not in NAMES]
    return Subject(name, source, family, methods, sources, returns, classes, words, constants)


def _text(node: Any) -> str:
    return node.text.decode()


def _dedented(source: str, node: Any) -> str:
    """A method as it stands in its class, the class's indentation removed."""
    lines = source.encode()[node.start_byte : node.end_byte].decode().splitlines()
    return "\n".join([lines[0], *(line.removeprefix("    ") for line in lines[1:])])


def _word(chance: random.Random, syllables: int) -> str:
    return "".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(syllables)) + chance.choice(
        ("", "", "n", "r", "s", "x")
    )
