"""Identity, kinds, earlier assertions and what can be copied."""

from __future__ import annotations

import hashlib

import pytest

from components.workloads.assertions.compare import same, token_similarity
from components.workloads.assertions.pairs import assert_type, copyable, earlier_pairs, identity, prior_assertions
from tests.workloads.assertions.pair_data import pair


def test_identity_is_the_digest_that_the_data_describe():
    assert identity("a", "b", "c") == hashlib.sha256(b"a\0b\0c").hexdigest()[:12]
    assert identity("a", "b", None) == hashlib.sha256(b"a\0b").hexdigest()[:12]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("assertEquals(1, x);", "assertEquals"),
        ("Assert.assertTrue(x);", "assertTrue"),
        ("Assertions . assertNull ( x );", "assertNull"),
        ("assertThat(x);", "assertThat"),
        ("assert x;", None),
        ("asserting(x);", None),
        ("verify(x);", None),
        ("assertEquals", None),
        ("", None),
    ],
)
def test_the_kind_is_the_name_of_the_call(text, kind):
    assert assert_type(text) == kind


def test_only_assertions_at_the_top_level_count():
    prefix = """
        Stack s = new Stack();
        Assert.assertEquals(0, s.size());
        for (int i = 0; i < 3; i++) { assertTrue(s.push(i)); }
        try { assertNull(x); } finally { }
        run(() -> assertFalse(y));
        if (a) assertTrue(b);
        assertNotNull(s); // assertSame(a, b);
        s.clear();
    """
    assert prior_assertions(prefix) == ["assertEquals ( 0 , s . size ( ) ) ;", "assertNotNull ( s ) ;"]
    assert prior_assertions("int x = 1;") == []


def test_the_earlier_assertions_of_a_test_make_pairs_of_their_own():
    prefix = (
        "Stack s = new Stack();\nassertTrue(s.isEmpty());\ns.push(1);\nassertThat(s);\nassertNull(s.top());\ns.pop();"
    )
    whole = pair(test_prefix=prefix, assertion="assertEquals(0, s.size());")
    first, second = earlier_pairs(whole)
    assert (first.test_prefix, first.assertion) == ("Stack s = new Stack ( ) ;", "assertTrue ( s . isEmpty ( ) ) ;")
    assert (first.assert_type, first.n_prior_asserts, first.prior) == ("assertTrue", 0, None)
    assert second.test_prefix.endswith("s . push ( 1 ) ; assertThat ( s ) ;")
    assert (second.assertion, second.assert_type) == ("assertNull ( s . top ( ) ) ;", "assertNull")
    assert (second.n_prior_asserts, second.prior) == (2, "assertThat ( s ) ;")
    assert len({whole.id, first.id, second.id}) == 3
    assert second.id == identity(second.focal_code, second.test_prefix, second.assertion)
    assert earlier_pairs(pair(test_prefix="assertTrue(a);", assertion="assertTrue(b);")) == []  # it opens the test


def test_copyable_needs_every_token_in_the_input_or_the_fixed_vocabulary():
    focal, prefix = "int size() { return n; }", 'Stack s = of("a", 7);'
    assert copyable("assertEquals(7, s.size());", focal, prefix)
    assert copyable("assertTrue(s.size() . size());", focal, prefix)
    assert not copyable("assertEquals(8, s.size());", focal, prefix)
    assert not copyable("assertEquals(7, s.length());", focal, prefix)
    assert not copyable("assertEquals(7, s.size(), 0.1);", focal, prefix)


def test_same_and_similarity_ignore_layout():
    assert same("assertEquals(1,x );", "assertEquals( 1, x);")
    assert not same("assertEquals(1, x);", "assertEquals(2, x);")
    assert token_similarity("assertEquals(1, x);", "assertEquals(1,x) ;") == 1.0
    # 7 tokens each (assertEquals ( 1 , x ) ;), 6 in common: 2 * 6 / 14
    assert token_similarity("assertEquals(1, x);", "assertEquals(2, x);") == pytest.approx(12 / 14)
    assert token_similarity("a", "") == 0.0
