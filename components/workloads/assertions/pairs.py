"""What a sample of the assertions workload is, whichever file it came from: readers, generator, model, metrics and the
served model speak in these records. No torch: prepare and the readers never import it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from components.workloads.assertions.java_tokens import CLOSING, OPENING, tokens

ASSERT_TYPES = (
    "assertEquals",
    "assertNotEquals",
    "assertTrue",
    "assertFalse",
    "assertNull",
    "assertNotNull",
    "assertSame",
    "assertNotSame",
    "assertArrayEquals",
    "assertInstanceOf",
    "assertIterableEquals",
)
"""The kinds of assertion, in the order of their numbers in arrays and manifests."""

QUALIFIERS = frozenset({"Assert", "Assertions"})
FIXED = frozenset([*ASSERT_TYPES, *"( ) , ; . [ ] { } true false null new class 0 1 2".split()])  # noqa: SIM905
"""Tokens an assertion may hold without being found in the input, when one says that it can be copied."""


@dataclass(frozen=True)
class Pair:
    """A method under test with a test up to one of its assertions, and (outside serving) that assertion.

    Attributes:
        id: first 12 hex digits of sha256(focal_code NUL test_prefix NUL assertion); of a request, without the last.
        project: name of the project; splits hold out whole projects.
        path: the test's file in its repository; "" where unknown.
        test_class, test_name, focal_class, focal_method: simple names; "" where unknown.
        focal_code: declaration and body of the method under test.
        test_prefix: the statements of the test before the assertion.
        assertion: one line, `assertEquals(...);`; None in a request.
        assert_type: its method's name, one of ASSERT_TYPES; None in a request.
        n_prior_asserts: assertions that are statements at the top level of the prefix.
        prior: the last of those, or None.
        licence, focal_path: as the source says; "" where unknown.
    """

    id: str
    project: str
    path: str
    test_class: str
    test_name: str
    focal_class: str
    focal_method: str
    focal_code: str
    test_prefix: str
    assertion: str | None
    assert_type: str | None
    n_prior_asserts: int
    prior: str | None = None
    licence: str = ""
    focal_path: str = ""

    @property
    def test(self) -> str:
        """Names the test method: assertions of one test stand or fall together."""
        return f"{self.project}/{self.path}#{self.test_class}.{self.test_name}"


def identity(focal_code: str, test_prefix: str, assertion: str | None) -> str:
    """The id of a row, or of a request (without assertion)."""
    parts = [focal_code, test_prefix] if assertion is None else [focal_code, test_prefix, assertion]
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()[:12]


def assert_type(assertion: str) -> str | None:
    """The name of the method that an assertion calls, whatever its qualifier; None when it is no call of one."""
    found = tokens(assertion)
    if len(found) > 2 and found[0] in QUALIFIERS and found[1] == ".":
        found = found[2:]
    return found[0] if len(found) > 1 and _is_assert(found[0]) and found[1] == "(" else None


def prior_assertions(test_prefix: str) -> list[str]:
    """The assertions that are statements at the top level of a prefix, unqualified, tokens joined by blanks."""
    return [text for _, _, text in assertions_in(tokens(test_prefix))]


def earlier_pairs(pair: Pair) -> list[Pair]:
    """The pairs that the earlier assertions in the prefix make: the test up to each of them, and it.

    An assertion of no known kind, or one that opens the test, makes none.
    """
    found = tokens(pair.test_prefix)
    made: list[Pair] = []
    prior: str | None = None
    for number, (start, _, text) in enumerate(assertions_in(found)):
        prefix, kind = " ".join(found[:start]), assert_type(text)
        if prefix and kind in ASSERT_TYPES:
            made.append(
                replace(
                    pair,
                    id=identity(pair.focal_code, prefix, text),
                    test_prefix=prefix,
                    assertion=text,
                    assert_type=kind,
                    n_prior_asserts=number,
                    prior=prior,
                )
            )
        prior = text
    return made


def assertions_in(found: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
    """(index of its first token, index behind its last, text) of each assertion at the top level of the tokens of a
    prefix."""
    depth, start = 0, 0
    for i, token in enumerate(found):
        if token in OPENING:
            depth += 1
        elif token in CLOSING:
            depth -= 1
        if depth == 0 and token in {";", "}"}:
            if (statement := _assertion_in(found[start : i + 1])) is not None:
                yield start, i + 1, statement
            start = i + 1


def copyable(assertion: str, *inputs: str) -> bool:
    """Whether every token of the assertion stands in an input or in the small fixed vocabulary."""
    known = FIXED.union(*(tokens(text) for text in inputs))
    return all(token in known for token in tokens(assertion))


def _assertion_in(statement: tuple[str, ...]) -> str | None:
    if len(statement) > 3 and statement[0] in QUALIFIERS and statement[1] == ".":
        statement = statement[2:]
    if len(statement) < 4 or not _is_assert(statement[0]) or statement[1] != "(" or statement[-1] != ";":
        return None
    return " ".join(statement)


def _is_assert(name: str) -> bool:
    return name.startswith("assert") and name[6:7].isupper()
