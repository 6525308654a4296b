"""Java text as tokens and back: one lexer, one spacing for comparisons, one without needless blanks for encoding.

The lexer is total: what is not Java becomes tokens of one character, so that a model's broken answer can be compared
too. `>` always stands alone, because only a parser knows whether `>>` is a shift or closes two type arguments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

_LEXEMES = (
    ("skip", r"\s+|//[^\n\r]*|/\*[\s\S]*?\*/"),
    ("literal", r'"""[ \t\f]*[\n\r](?:\\[\s\S]|(?!""")[^\\])*"""|"(?:\\.|[^"\\\n\r])*"|' + r"'(?:\\.|[^'\\\n\r])+'"),
    (
        "number",
        r"0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?\d[\d_]*)?[lLfFdD]?|0[bB][01_]+[lL]?"
        r"|(?:\d[\d_]*\.(?!\.)[\d_]*|\d[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?[lLfFdD]?",
    ),
    ("word", r"(?:[^\W\d]|\$)[\w$]*"),
    ("operator", r"->|::|\.\.\.|\+\+|--|&&|\|\||<<=|<<|[<>=!*/%&|^+-]="),
    ("other", r"[\s\S]"),
)
_LEXER = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _LEXEMES))
_TOKEN = re.compile(f"(?:{_LEXEMES[0][1]})|({'|'.join(pattern for _, pattern in _LEXEMES[1:])})")
_KEPT = 4000  # characters of the longest texts that are remembered: the same ones are asked for again and again

OPENING = {"(": ")", "[": "]", "{": "}"}
CLOSING = frozenset(OPENING.values())
_CONTROL = frozenset(
    "if for while switch catch synchronized return try throw do else case assert yield".split()  # noqa: SIM905
)
_TIGHT_AFTER = frozenset(["(", "[", ".", "@", "::", "!", "~", "{"])
_TIGHT_BEFORE = frozenset([")", "]", ",", ";", ".", "::", "}", "..."])
_NO_OPERATORS = frozenset(["(", ")", ",", ";", ".", "[", "]", ">", "::", "...", "}", "{", "&"])
_BEFORE_TYPES = frozenset(["", ".", "::", "new", "public", "static", "private", "protected", "final", ";", "}"])
_SIGNS = frozenset(["+", "-"])
_STEPS = frozenset(["++", "--"])


def tokens(text: str) -> tuple[str, ...]:
    """The Java tokens of a text without comments; a literal, also a text block, is one token."""
    return _remembered(text) if len(text) <= _KEPT else _lexed(text)


def _lexed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, _TOKEN.findall(text)))


_remembered = lru_cache(maxsize=2048)(_lexed)


def is_word(token: str) -> bool:
    """Whether the token is an identifier, a keyword or one of the words true, false, null."""
    return token[0] == "$" or token[0] == "_" or token[0].isalpha()


def is_literal(token: str) -> bool:
    """Whether the token is a number, a character or a string."""
    return token[0] in "\"'" or token[0].isdigit() or (token[0] == "." and token[1:2].isdigit())


def defect(text: str) -> str | None:
    """What keeps a text from being Java whatever the grammar: an unfinished literal or comment, a stray character, or
    brackets that do not pair; None when nothing does."""
    waiting: list[str] = []
    end = 0
    for found in _LEXER.finditer(text):
        token, end = found.group(), found.end()
        if found.lastgroup == "skip":
            continue
        if token in {'"', "'"}:
            return f"a literal without its end at character {found.start()}"
        if token == "/" and text.startswith("/*", found.start()):
            return f"a comment without its end at character {found.start()}"
        if found.lastgroup == "other" and (token in "#`\\" or not token.isprintable()):
            return f"the character {token!r} outside of literals"
        if token in OPENING:
            waiting.append(OPENING[token])
        elif token in CLOSING and (not waiting or waiting.pop() != token):
            return f"a `{token}` without its opening at character {found.start()}"
    assert end == len(text)
    return f"a `{waiting[-1]}` is missing at the end" if waiting else None


def compact(text: str) -> str:
    """The tokens with blanks only where two of them would become another token: what is encoded."""
    found = tokens(text)
    pieces = list(found[:1])
    for left, right in pairwise(found):
        if _must_part(left, right):
            pieces.append(" ")
        pieces.append(right)
    return "".join(pieces)


def canonical(text: str) -> str:
    """The tokens on one line with the spacing that assertions are compared and shown with.

    Layout and comments do not matter to it, and it changes nothing in what it gave itself.
    """
    found = tokens(text)
    generic = _type_brackets(found)
    pieces = []
    for i, token in enumerate(found):
        if i and (_spaced(found, i, generic) or _must_part(found[i - 1], token)):
            pieces.append(" ")
        pieces.append(token)
    return "".join(pieces)


def _must_part(left: str, right: str) -> bool:
    """Whether two tokens written without a blank would be read as something else."""
    if len(left) + len(right) > 40:
        return _wordlike(left[-1]) and _wordlike(right[0])  # one is a long literal or a long name
    return _merge(left, right)


@lru_cache(maxsize=1 << 16)
def _merge(left: str, right: str) -> bool:
    return _lexed(left + right) != (left, right) or left == right == "."  # three of them would be one token


def _wordlike(character: str) -> bool:
    return character in "_$" or character.isalnum()


def _spaced(found: Sequence[str], i: int, generic: frozenset[int]) -> bool:
    """Whether a blank stands before token i (> 0)."""
    before, token = found[i - 1], found[i]
    if before == ">" and token in {">", ">="}:
        return False
    if i in generic:
        return before in {",", "?"} or (token == "<" and before in _CONTROL | {"public", "static", "private", "final"})
    if i - 1 in generic:
        return before == ">" and (is_word(token) or is_literal(token) or token in {"=", "{"} or _binary(found, i))
    if before in _TIGHT_AFTER or token in _TIGHT_BEFORE:
        return False
    if before in _SIGNS and not _operand_before(found, i - 1):
        return False
    if token in _STEPS:
        return not _operand_before(found, i) and before not in _SIGNS
    if before in _STEPS:
        return _operand_before(found, i - 1) or (token not in {"("} and not is_word(token))
    if token in {"(", "["}:
        return not (before in {")", "]"} or (is_word(before) and before not in _CONTROL))
    return True


def _binary(found: Sequence[str], i: int) -> bool:
    return found[i] not in {"(", ")", ",", ";", ".", "[", "]", ">", "::", "...", "}", "{", "&"} and not is_word(
        found[i]
    )


def _operand_before(found: Sequence[str], i: int) -> bool:
    """Whether what stands before token i is something that an operator could follow."""
    if i == 0:
        return False
    before = found[i - 1]
    if before in _STEPS:
        return _operand_before(found, i - 1)
    return before in {")", "]"} or is_literal(before) or (is_word(before) and before not in _CONTROL)


def _type_brackets(found: Sequence[str]) -> frozenset[int]:
    """Indices of `<` and `>` around type arguments: those between which only names of types stand."""
    inside: set[int] = set()
    waiting: list[int] = []
    for i, token in enumerate(found):
        if token == "<" and i + 1 < len(found) and _opens_types(found, i, bool(waiting)):
            waiting.append(i)
        elif token == ">" and waiting:
            inside |= {waiting.pop(), i}
        elif waiting and not (is_word(token) or token in {",", "?", ".", "[", "]", "&", "@"}):
            waiting.clear()
    return frozenset(inside)


def _opens_types(found: Sequence[str], i: int, within: bool) -> bool:
    before = found[i - 1] if i else ""
    return (
        within
        or before in {"", ".", "::", "new", "public", "static", "private", "protected", "final", ";", "}"}
        or (is_word(before) and before[0].isupper())
    )
