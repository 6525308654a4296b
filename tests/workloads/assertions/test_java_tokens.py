"""The lexer and the two spacings, by hand-worked cases and over generated token sequences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.workloads.assertions.java_tokens import canonical, compact, defect, is_literal, is_word, tokens

CASES = [
    ("assertEquals( 1,a+b ) ;", "assertEquals(1, a + b);", "assertEquals(1,a+b);"),
    ("new int [ ] {1,2}", "new int[] {1, 2}", "new int[]{1,2}"),
    ("new ArrayList<Map<String,List<int[]>> >()", "new ArrayList<Map<String, List<int[]>>>()", None),
    ("i<n && n>j", "i < n && n > j", "i<n&&n>j"),
    ("x>>2 >>> 1", "x >> 2 >>> 1", "x>>2>>>1"),
    ("x >>= 1", "x >>= 1", "x>>=1"),
    ("f(-1, +2, a - -b)", "f(-1, +2, a - -b)", "f(-1,+2,a- -b)"),
    ("i++ + ++j", "i++ + ++j", "i+++ ++j"),
    ("b->b.c()", "b -> b.c()", "b->b.c()"),
    ("String::valueOf", "String::valueOf", "String::valueOf"),
    ("return(x)", "return (x)", "return(x)"),
    ("(int)x", "(int) x", "(int)x"),
    ("a?b:c", "a ? b : c", "a?b:c"),
    ("List<? extends A>x", "List<? extends A> x", "List<?extends A>x"),
    ("!x", "!x", "!x"),
    ("void f(int... x)", "void f(int... x)", "void f(int...x)"),
    ("1.5e-3f+0x1FL", "1.5e-3f + 0x1FL", "1.5e-3f+0x1FL"),
    ('"a  /* b */ \\" c"  // gone', '"a  /* b */ \\" c"', '"a  /* b */ \\" c"'),
    ("a /* one\n two */ b", "a b", "a b"),
    (". . .", ". . .", ". . ."),
    ("x = 'a'+'\\''", "x = 'a' + '\\''", "x='a'+'\\''"),
]


@pytest.mark.parametrize(("text", "shown", "short"), CASES)
def test_spacings(text, shown, short):
    assert canonical(text) == shown
    assert short is None or compact(text) == short
    assert tokens(compact(text)) == tokens(shown) == tokens(text)


def test_literals_are_one_token_each():
    text = 'f("a b", \'c\', 1_000L, .5f, 0x1.8p1, 0b11, """\n  text " block\n""")'
    found = [token for token in tokens(text) if is_literal(token)]
    assert found == ['"a b"', "'c'", "1_000L", ".5f", "0x1.8p1", "0b11", '"""\n  text " block\n"""']


def test_words():
    assert [token for token in tokens("größe $x _y 名 9z null") if is_word(token)] == [
        "größe",
        "$x",
        "_y",
        "名",
        "z",
        "null",
    ]


WORDS = st.sampled_from(["x", "Foo", "int", "return", "new", "größe", "$a", "null", "instanceof"])
LITERALS = st.sampled_from(["1", "2.5", ".5", "1.", "0x1F", '"a b"', '""', "'c'", '"\\""', "1e-3f", "10L"])
MARKS = st.sampled_from(
    [
        *"(){}[];,.@=<>!~?:+-*/&|^%",
        *(["->", "::", "...", "++", "--", "&&", "||", "==", "<=", ">=", "!=", "+=", "-=", "<<", "<<="]),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS | LITERALS | MARKS, max_size=25))
def test_spacings_keep_the_tokens_of_any_sequence(found):
    text = " ".join(found)
    expected = tokens(text)
    assert tokens(compact(text)) == expected
    assert tokens(canonical(text)) == expected
    assert canonical(canonical(text)) == canonical(text) == canonical(compact(text))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_the_lexer_takes_any_text_and_loses_nothing_but_blanks_and_comments(text):
    joined = "".join(tokens(text))
    assert not set(joined) - set(text)
    if "/" not in text:
        kept = "".join(joined.split())
        assert kept == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ('f("a);', "a literal without its end at character 2"),
        ("f('a);", "a literal without its end"),
        ("a /* b", "a comment without its end at character 2"),
        ("f(a];", "a `]` without its opening at character 3"),
        ("f(a", "a `)` is missing at the end"),
        ("}", "a `}` without its opening"),
        ("a # b", "the character '#'"),
        ("a\u200bb", "outside of literals"),
    ],
)
def test_defects(text, flaw):
    assert flaw in str(defect(text))


def test_a_whole_text_has_no_defect():
    assert defect('f("}", \'{\', "\\u000a", a[1], x -> { }); // (') is None
    assert defect("") is None
