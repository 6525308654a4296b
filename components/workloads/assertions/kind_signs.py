"""What hints at the kind of the missing assertion: words that a linear model weighs.

Kinds of the earlier assertions, what the method under test returns and how it is called, words of the names, and what
the test did since its last assertion; alone and, where one changes the meaning of another, in pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from components.workloads.assertions.java_tokens import is_literal, tokens
from components.workloads.assertions.pairs import Pair, assert_type, assertions_in

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
COUNTED = 4  # earlier assertions that are told apart


def signs(pair: Pair) -> set[str]:
    """The signs of a pair; its own assertion is not looked at."""
    found = tokens(pair.test_prefix)
    earlier = list(assertions_in(found))
    kinds = [assert_type(text) or "" for _, _, text in earlier]
    since = found[earlier[-1][1] :] if earlier else found
    last, gives = (kinds[-1] if kinds else ""), returned(pair)
    return {
        *_earlier(kinds, gives, bool(since)),
        *_method(pair, last, gives),
        *_names(pair, gives),
        *_done(since, gives),
        *_prior(pair, since, last, gives),
    }


def words(name: str) -> list[str]:
    """The words of an identifier, in small letters."""
    return [word.lower() for word in WORD.findall(name)]


def returned(pair: Pair) -> str:
    """The type that the method under test is declared to return, without type arguments; "" where it cannot be seen."""
    found = tokens(pair.focal_code)
    for i in range(1, len(found) - 1):
        if found[i] == pair.focal_method and found[i + 1] == "(":
            return _type_before(found, i)
    return ""


def _type_before(found: Sequence[str], end: int) -> str:
    if found[end - 1] == "]":
        return f"{found[max(0, end - 3)]}[]"
    depth = 0
    for i in range(end - 1, -1, -1):
        depth += (found[i] == ">") - (found[i] == "<")
        if depth == 0:
            return found[i - 1] if found[i] == "<" and i else found[i]
    return ""


def _earlier(kinds: Sequence[str], gives: str, acted: bool) -> Iterator[str]:
    last, before = [*kinds[::-1], "", ""][:2]
    number = min(len(kinds), COUNTED)
    yield f"kind {last}"
    yield f"kinds {before} {last}"
    yield f"number {number}"
    yield f"number, kind, returned {number} {last} {gives}"
    yield f"returned, kind {gives} {last}"
    yield f"always {len(kinds) > 1 and len(set(kinds)) == 1} {last}"
    yield f"acted since {acted} {last}"


def _method(pair: Pair, last: str, gives: str) -> Iterator[str]:
    first = next(iter(words(pair.focal_method)), "")
    yield f"returned {gives}"
    yield f"method {pair.focal_method}"
    yield f"method, kind {pair.focal_method} {last}"
    yield f"verb {first}"
    yield f"verb, kind {first} {last}"


def _names(pair: Pair, gives: str) -> Iterator[str]:
    named = words(pair.test_name)
    final = named[-1] if named else ""
    yield from _marked("test", named)
    yield from _marked("tests", (" ".join(two) for two in pairwise(named)))
    yield f"test ends {final}"
    yield f"boolean, test ends {gives == 'boolean'} {final}"
    yield from _marked("class", words(pair.test_class) + words(pair.focal_class))


def _done(since: Sequence[str], gives: str) -> Iterator[str]:
    """Of the tokens since the last assertion, and of the last statement among them."""
    plain = [_plain(token) for token in since]
    yield from _marked("since", plain)
    statement = plain[:-1]
    for i in range(len(statement) - 1, -1, -1):
        if statement[i] in {";", "{", "}"}:
            statement = statement[i + 1 :]
            break
    yield from _marked("last", statement)
    yield from _marked("lasts", (" ".join(two) for two in pairwise(statement)))
    if statement:
        yield f"last begins {statement[0]}"
        yield f"last ends {' '.join(statement[-3:])}"
    if "=" in statement:
        yield f"declared, returned {statement[0]} {gives}"


def _prior(pair: Pair, since: Sequence[str], last: str, gives: str) -> Iterator[str]:
    """Of the last earlier assertion, and of who has called the method under test."""
    yield f"called since {pair.focal_method in since} {gives} {last}"
    if pair.prior is not None:
        found = tokens(pair.prior)
        yield from _marked("prior", map(_plain, found))
        yield f"prior begins {' '.join(map(_plain, found[2:5]))}"
        yield f"prior calls {pair.focal_method in found} {gives} {last}"


def _marked(mark: str, found: Iterable[str]) -> Iterator[str]:
    return (f"{mark} {each}" for each in found)


def _plain(token: str) -> str:
    """A literal's sort, any other token itself."""
    return ("text" if token[0] in "\"'" else "number") if is_literal(token) else token
