"""The checked fields of one row or request: focal method, test prefix, names, assertion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from components.errors import EquipoiseError, bad_data
from components.workloads.assertions.java_syntax import is_call
from components.workloads.assertions.java_tokens import defect, tokens
from components.workloads.assertions.pairs import ASSERT_TYPES, Pair, assert_type, identity, prior_assertions

MAX_CHARACTERS = 200_000  # of one field: code longer than this is no method
NAMES = ("project", "path", "test_class", "test_name", "focal_class", "focal_method", "focal_path", "licence")
INPUTS = ("focal_code", "test_prefix")
ANSWER = ("assertion", "assert_type", "n_prior_asserts", "n_tok", "id")
HINT = 'Write {"project", "test_name", "focal_code", "test_prefix", "assertion"} as the README of the data describes'


def refuse(place: str, rule: str, got: Any, hint: str = HINT) -> EquipoiseError:
    """E_PAIR (65) for a row that is no test with an assertion."""
    return bad_data(place, rule, got=got, hint=hint, code="PAIR")


def check_keys(row: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    """Refuses a key that is nearly a known one: a typo would silently drop a field. Other keys are the user's own."""
    names = list(known)
    for key in row:
        near = [] if key in names else difflib.get_close_matches(key, names, n=1, cutoff=0.7)
        if near and abs(len(near[0]) - len(key)) <= 1:
            raise refuse(place, "a key must not be nearly a known one", key, f"Did you mean `{near[0]}`?")


def name(row: Mapping[str, Any], key: str, place: str, *, needed: bool = False) -> str:
    """A name on one line; "" when it is absent and not needed."""
    value = row.get(key, "")
    if not isinstance(value, str):
        raise refuse(place, f"{key} must be text", value, "Put it in quotes")
    if len(value) > 1000 or not value.isprintable():
        raise refuse(place, f"{key} must be one line of at most 1,000 printable characters", value, "Mend the name")
    if needed and not value.strip():
        raise refuse(place, f"{key} must be present and not blank", value)
    return value


def code(row: Mapping[str, Any], key: str, place: str) -> str:
    """Java text: lexically whole, with at least one token, of bounded length."""
    value = row.get(key)
    if not isinstance(value, str):
        raise refuse(place, f"{key} must be text", value if key in row else "nothing")
    if len(value) > MAX_CHARACTERS:
        rule = f"{key} must have at most {MAX_CHARACTERS} characters"
        raise refuse(place, rule, f"{len(value)} characters", "Leave the row out, or cut the code")
    if "\0" in value:
        raise refuse(place, f"{key} must not hold NUL characters", value, "Remove them")
    if (flaw := defect(value)) is not None:
        raise refuse(place, f"{key} must be Java", flaw, "Give whole statements; leave out what does not compile")
    if not tokens(value):
        raise refuse(place, f"{key} must hold code, not only blanks and comments", value, "Leave the row out")
    return value


def assertion(row: Mapping[str, Any], place: str) -> tuple[str, str]:
    """(assertion, its type): one line, one call of one of ASSERT_TYPES by its bare name."""
    value = code(row, "assertion", place)
    if len(value.splitlines()) != 1:
        raise refuse(place, "assertion must stand on one line", value, "Join its lines")
    if not is_call(value):
        rule = "assertion must be one call of an assertion by its bare name, with `;` at the end"
        raise refuse(place, rule, value, "Remove `Assert.` or `Assertions.`, and what stands beside the call")
    kind = assert_type(value)
    if kind not in ASSERT_TYPES:
        raise refuse(place, f"assertion must be one of {', '.join(ASSERT_TYPES)}", kind or value, "Leave the row out")
    given = row.get("assert_type", kind)
    if given != kind:
        raise refuse(place, f"assert_type must be {kind} as in the assertion", given, "Mend it or leave it out")
    return value, kind


def labelled(row: Any, place: str) -> Pair:
    """A row of the data as a Pair, every field checked; what can be computed is compared, not believed.

    Raises:
        EquipoiseError: E_PAIR (65) naming the field that is wrong.
    """
    if not isinstance(row, Mapping):
        raise refuse(place, "a row must be an object", row)
    check_keys(row, (*NAMES, *INPUTS, *ANSWER), place)
    names = {key: name(row, key, place, needed=key in {"project", "test_name"}) for key in NAMES}
    focal, prefix = (code(row, key, place) for key in INPUTS)
    text, kind = assertion(row, place)
    own = identity(focal, prefix, text)
    if row.get("id", own) != own:
        rule = f"id must be {own}, the digest of focal_code, test_prefix and assertion"
        raise refuse(place, rule, row["id"], "Leave it out: it is computed")
    _check_counts(row, place)
    return _pair(names, focal, prefix, own, text, kind)


def unlabelled(row: Any, place: str) -> Pair:
    """A request as a Pair without assertion.

    Raises:
        EquipoiseError: E_PAIR (65) naming the field that is wrong.
    """
    hint = 'Send {"focal_code": "...", "test_prefix": "...", "test_name": "..."}'
    if not isinstance(row, Mapping):
        raise refuse(place, "a request must be an object", type(row).__name__, hint)
    for key in row:
        if key in ANSWER:
            raise refuse(place, f"a request must not hold {key}, which gives the answer away", row[key], hint)
        if key not in NAMES and key not in INPUTS:
            raise refuse(place, f"fields must be among {', '.join((*INPUTS, *NAMES))}", str(key), hint)
    names = {key: name(row, key, place) for key in NAMES}
    focal, prefix = (code(row, key, place) for key in INPUTS)
    return _pair(names, focal, prefix, identity(focal, prefix, None), None, None)


def _pair(
    names: Mapping[str, str], focal: str, prefix: str, identifier: str, text: str | None, kind: str | None
) -> Pair:
    prior = prior_assertions(prefix)
    return Pair(
        id=identifier,
        focal_code=focal,
        test_prefix=prefix,
        assertion=text,
        assert_type=kind,
        n_prior_asserts=len(prior),
        prior=prior[-1] if prior else None,
        **names,
    )


def _check_counts(row: Mapping[str, Any], place: str) -> None:
    """The counts of a row must be counts; they are computed anew."""
    earlier = row.get("n_prior_asserts", 0)
    if not _whole(earlier):
        raise refuse(place, "n_prior_asserts must be a whole number from 0 on", earlier, "Leave it out")
    sizes = row.get("n_tok", [1, 1, 1])
    if not isinstance(sizes, list) or len(sizes) != 3 or not all(_whole(size) and size for size in sizes):
        rule = "n_tok must be three whole numbers from 1 on: tokens of focal_code, test_prefix, assertion"
        raise refuse(place, rule, sizes, "Leave it out")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
