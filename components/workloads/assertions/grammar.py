"""What may be written next so that an assertion ends well within its length: it starts as a call of a known kind,
brackets close in order, literals end, one semicolon stands at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.workloads.assertions.encode import EOS, UNK, Codec
from components.workloads.assertions.pairs import ASSERT_TYPES

GROUP, TYPES = "g", "t"  # a parenthesis that is no call's, before and after a `<` within: no commas, or between types
CLOSES = {")": ("(", GROUP, TYPES), "]": ("[",), "}": ("{",)}
OPENS = {opening: closing for closing, openings in CLOSES.items() for opening in openings}
QUOTES = "\"'"
LEADING = "new"  # the word that another may follow
PARTED = " "  # behind what no operand may follow
TYPED = PARTED + "instanceof"  # the one word that may
BLANK = "Ġ"  # how byte-level BPE writes it
WAITING = ",*/%&|!~=?:<("  # after it something must come that is not a closing bracket, but for an empty call's
NO_START = ",;)[]}.*/%&|=?:>"  # cannot begin an operand
PAIRS = ("&&", "||", "==", "!=", "<=", "<<", "<?", "<>", "?>", "?:", "::", "?,")
SIGNS = ("+", "-")
BINARY = "*"  # stands for a sign between two operands that cannot be doubled any more
UNARY = "unary "  # in front of a sign that no operand stands before
STARTS = tuple(f"{kind}(" for kind in ASSERT_TYPES)


@dataclass(frozen=True)
class State:
    """How far a statement has come.

    Attributes:
        start: what is written of its start; None once that is complete.
        brackets: open ones, outermost first.
        word: the word or number that is being written, as long as it may become LEADING; a part of TYPED where no
            operand may stand.
        last: the last character that is no blank, a quote for a whole literal; both of a doubled sign, and whether
            signs stand where an operand would.
        quote: of the literal that is open, "" outside.
        escaped: whether the next character is.
        ended: whether its semicolon stands.
    """

    start: str | None = ""
    brackets: str = ""
    word: str = ""
    last: str = ""
    quote: str = ""
    escaped: bool = False
    ended: bool = False

    @property
    def needs(self) -> int:
        """Pieces that it takes at least to end from here, the end mark included."""
        if self.ended:
            return 1
        if self.start is not None:
            return min(len(start) - len(self.start) for start in STARTS if start.startswith(self.start)) + 3
        if self.quote:
            return 3 + len(self.brackets) + self.escaped
        return 2 + len(self.brackets) + (len(TYPED) - len(self.word) + 1 if self.typing else self.waiting)

    @property
    def typing(self) -> bool:
        """Whether a part of `instanceof` stands there."""
        return self.word.startswith(PARTED) and self.word != PARTED

    @property
    def waiting(self) -> bool:
        """Whether an operand or a name has to come before anything may close."""
        if self.last == "(":
            return len(self.brackets) == 1 or self.brackets[-1] != "("  # an assertion has an argument, a group a value
        if self.last.endswith(SIGNS):
            return len(self.last) != 2  # a doubled sign after an operand belongs to it
        return self.last == "." or (self.last != "" and self.last in WAITING)

    def takes(self, character: str) -> bool:
        """Whether a character outside of literals may follow the last one."""
        if self.word.startswith(PARTED) and (self.typing or _wordlike(character) or character in QUOTES):
            return TYPED.startswith(self.word + character)
        if self.last in QUOTES and character in "([{":
            return False
        if self.last == "(":
            return character not in NO_START or (character == ")" and not self.waiting)
        if self.last == "[":
            return character not in NO_START or character == "]"
        if self.last.endswith(SIGNS):
            return self._after_sign(character)
        if self.last == ".":
            return _wordlike(character) or character in "<."
        if self.last in WAITING:
            pair = self.last + character
            return character not in NO_START or pair in PAIRS
        return character != "," or not self.brackets.endswith(GROUP)

    def _after_sign(self, character: str) -> bool:
        sign = self.last.removeprefix(UNARY)
        if self.last in {"++", "--"}:
            return character in NO_START or character in SIGNS
        return character not in NO_START and (len(sign) == 1 or character not in SIGNS)


class Grammar:
    """The rules for one vocabulary.

    Args:
        pieces: text of every id, as byte-level BPE writes it: ASCII characters stand for themselves.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = pieces
        self._single = {piece: i for i, piece in enumerate(pieces) if i > UNK and len(piece) == 1}
        self._after: dict[tuple[State, int], State | None] = {}
        self._openings: dict[str, tuple[int, ...]] = {}

    def after(self, state: State, piece: int, left: int) -> State | None:
        """The state after one more piece; None where it must not stand, or the end would lie beyond `left` pieces more
        (the end mark among them)."""
        if piece == EOS:
            return state if state.ended else None
        key = (state, piece)
        if key not in self._after:
            self._after[key] = None if state.ended or piece <= UNK else _follow(state, self.pieces[piece])
        found = self._after[key]
        return found if found is not None and found.needs <= left else None

    def openings(self, begun: str) -> tuple[int, ...]:
        """The pieces that may follow where a kind is begun but not complete."""
        if begun not in self._openings:
            self._openings[begun] = tuple(
                i for i, piece in enumerate(self.pieces) if i > UNK and any(s.startswith(begun + piece) for s in STARTS)
            )
        return self._openings[begun]

    def way_out(self, state: State) -> int:
        """The piece that brings the end one step nearer, from any state."""
        if state.ended:
            return EOS
        if state.start is not None:
            shortest = min((s for s in STARTS if s.startswith(state.start)), key=len)
            return self._single[shortest[len(state.start)]]
        if state.quote:
            return self._single["n" if state.escaped else state.quote]
        if state.typing:
            return self._single[TYPED[len(state.word)]]
        if state.waiting:
            return self._single["x" if state.last == "." else "0"]
        return self._single[OPENS[state.brackets[-1]] if state.brackets else ";"]


def _follow(state: State, text: str) -> State | None:
    """The state after all characters of a piece."""
    found: State | None = state
    for character in text:
        found = None if found is None or found.ended else _step(found, character)
    return found


def _step(state: State, character: str) -> State | None:
    if state.start is not None:
        start = state.start + character
        if not any(each.startswith(start) for each in STARTS):
            return None
        return State(None, "(", last="(") if character == "(" else State(start)
    if state.quote:
        closes = character == state.quote and not state.escaped
        escaped = character == "\\" and not state.escaped
        return replace(state, quote="" if closes else state.quote, escaped=escaped, word=PARTED if closes else "")
    if character == BLANK:
        return _parted(state)
    if not state.takes(character):
        return None
    if not state.brackets:  # nothing but the semicolon follows the call
        return replace(state, ended=True) if character == ";" else None
    if character in QUOTES:
        return replace(state, word="", quote=character, last=character)
    if character in "([{":
        group = character == "(" and not (_wordlike(state.last[-1]) or state.last in ")]>")
        return replace(state, word="", brackets=state.brackets + (GROUP if group else character), last=character)
    if character in CLOSES:
        if state.brackets[-1] not in CLOSES[character]:
            return None
        cast = state.brackets[-1] in (GROUP, TYPES)
        return replace(state, word="" if cast else PARTED, brackets=state.brackets[:-1], last=character)
    if character == ";":
        return None
    brackets = state.brackets
    if character == "<" and brackets[-1] == GROUP:
        brackets = brackets[:-1] + TYPES
    word = _word(state, character)
    if word == TYPED:
        return replace(state, word="", last=BINARY)
    return replace(state, brackets=brackets, word=word, last=_signed(state.last, character))


def _parted(state: State) -> State:
    """After a blank: a sign can no longer be doubled, and no word follows one that does not lead."""
    if state.last in SIGNS:
        return replace(state, last=BINARY)
    return state if state.word in ("", LEADING) or state.word.startswith(PARTED) else replace(state, word=PARTED)


def _word(state: State, character: str) -> str:
    """The word with one more character, or any that leads nowhere."""
    if not _wordlike(character):
        return ""
    word = state.word + character
    begun = state.word or not _wordlike(state.last[-1])
    return word if begun and (LEADING.startswith(word) or TYPED.startswith(word)) else "x"


def _wordlike(character: str) -> bool:
    return character.isalnum() or character in "_$"


def _signed(last: str, character: str) -> str:
    """What the last character is then; of signs also what they belong to."""
    if character not in SIGNS:
        return character
    if last in {"++", "--"}:
        return BINARY
    if last.endswith(character) and len(last.removeprefix(UNARY)) == 1:
        return last + character
    operand = last in {")", "]", "}", '"', "'"} or _wordlike(last)
    return character if operand else UNARY + character


def grammar_of(codec: Codec) -> Grammar:
    """The rules for the vocabulary of a codec."""
    names = {number: piece for piece, number in codec.tokenizer.inner.get_vocab().items()}
    return Grammar([names[number] for number in range(codec.size)])
