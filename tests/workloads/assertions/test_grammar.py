"""What may be written: whole statements are accepted, broken ones never end, an end is always in reach."""

from __future__ import annotations

import random

import pytest

from components.workloads.assertions.encode import EOS, SPECIALS, UNK
from components.workloads.assertions.grammar import Grammar, State
from components.workloads.assertions.java_syntax import is_statement

CHARACTERS = [chr(c) for c in range(33, 127)] + ["Ġ"]
GRAMMAR = Grammar([*SPECIALS, *CHARACTERS, "assert", "Equals", "Test"])
ID = {piece: i for i, piece in enumerate(GRAMMAR.pieces)}


def accepted(text: str, most: int = 200) -> bool:
    state: State | None = State()
    for i, character in enumerate(text.replace(" ", "Ġ")):
        assert state is not None
        state = GRAMMAR.after(state, ID[character], most - i - 1)
        if state is None:
            return False
    return GRAMMAR.after(state, EOS, 0) is not None if state is not None else False


@pytest.mark.parametrize(
    "text",
    [
        "assertEquals(1, it.get(0));",
        'assertEquals("a);(\\"", x[1].y());',
        "assertTrue(new HashMap<String, List<?>>().isEmpty());",
        "assertEquals(-1.5e-3, (double) a.b / 2, 1e-9);",
        "assertArrayEquals(new int[] {1, 2}, new Foo<>() {}.bar(')', '\\''));",
        "assertEquals(a == b || !c && d != e, i++ + --j <= 3 ? x : y);",
        "assertInstanceOf(Foo.class, run(Foo::new));",
        "assertEquals(1L << 3, a >>> 2);",
        "assertEquals(-1 - -x, +a[i--] + (j++), ~k);",
        "assertTrue(((Map<String, List<?>>) x).run() instanceof Foo || y instanceof Bar || (a ? b : (c)));",
        "assertSame((int) news, new Foo(1, 2).a, new int[0]);",
    ],
)
def test_java_is_accepted(text):
    assert is_statement(text)
    assert accepted(text)


@pytest.mark.parametrize(
    "text",
    [
        "assertEquals(1, it.get(0);",
        "assertEquals(1, it.get(0)));",
        "assertEquals(1, it.get(0])",
        'assertEquals("a);',
        "assertEquals(1)",
        "assertEquals();",
        "assertEquals(1, );",
        "assertTrue(it.());",
        "assertTrue(a, , b);",
        "assertTrue(a) + 1;",
        "assertTrue(a);;",
        "verify(a);",
        "assertTrue(a;b);",
        "assertTrue(a +);",
        "assertTrue(++);",
        "assertTrue(~);",
        "assertTrue([]);",
        "assertTrue(a[.b]);",
        'assertEquals("a" b);',
        'assertEquals("a"(b));',
        "assertEquals(1, a b);",
        "assertEquals(1 st);",
        "assertEquals(newer Foo());",
        "assertEquals(1, ());",
        "assertEquals(1, f(a) b);",
        "assertEquals(1, a instance);",
        "assertTrue(a instanceof);",
        "assertEquals((byte, a));",
    ],
)
def test_what_is_no_assertion_never_ends(text):
    assert not accepted(text)


def test_pieces_of_several_characters_move_through_all_of_them():
    state = GRAMMAR.after(State(), ID["assert"], 50)
    assert state == State("assert")
    assert GRAMMAR.after(state, ID["Test"], 50) is None
    assert GRAMMAR.after(state, ID["Equals"], 50) == State("assertEquals")


@pytest.mark.parametrize("seed", range(40))
def test_the_end_is_reached_within_the_length_whatever_is_drawn(seed):
    draw, state, written, most = random.Random(seed), State(), [], 40
    for position in range(most):
        left = most - position - 1
        options = [i for i in range(len(GRAMMAR.pieces)) if GRAMMAR.after(state, i, left) is not None]
        way_out = GRAMMAR.way_out(state)
        assert way_out in options, (state, left)
        chosen = draw.choice(options)
        if chosen == EOS:
            break
        assert chosen > UNK
        following = GRAMMAR.after(state, chosen, left)
        assert following is not None
        state = following
        written.append(GRAMMAR.pieces[chosen])
    assert state.ended
    assert "".join(written).endswith(";")
