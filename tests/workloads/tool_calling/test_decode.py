"""The span decoder against tables worked by hand and against plain enumeration of all spans."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import EquipoiseError
from components.workloads.tool_calling.decode import decode_spans, to_found_span, trim, whole_words
from components.workloads.tool_calling.dialogues import USER, FoundSpan, Message

NO = -math.inf

CASES = {
    # name: (start logits, end logits, turns, longest, expected start, expected end)
    "a plain span": ([0, 1, 9, 0, 0], [0, 0, 0, 9, 0], [0, 1, 1, 1, 1], 4, 2, 3),
    "one token": ([0, 1, 9, 0, 0], [0, 0, 9, 0, 0], [0, 1, 1, 1, 1], 4, 2, 2),
    "not present wins": ([9, 1, 2, 0, 0], [9, 0, 0, 3, 0], [0, 1, 1, 1, 1], 4, 0, 0),
    "best start after best end: the best ordered pair": ([0, 4, 1, 9, 0], [0, 1, 8, 0, 3], [0, 1, 1, 1, 1], 4, 1, 2),
    "only pairs in order": ([NO, NO, NO, 5, NO], [NO, 7, NO, 1, NO], [0, 1, 1, 1, 1], 4, 3, 3),
    "longer than allowed": ([0, 9, 0, 0, 0], [0, 1, 0, 0, 9], [0, 1, 1, 1, 1], 3, 1, 1),
    "just as long as allowed": ([0, 9, 0, 0, 0], [0, 1, 0, 0, 9], [0, 1, 1, 1, 1], 4, 1, 4),
    "never across messages": ([0, 9, 0, 0, 0], [0, 0, 2, 9, 0], [0, 1, 1, 2, 2], 4, 1, 2),
    "never through a forbidden position": ([NO, 9, NO, 0, 0], [NO, 1, NO, 9, 0], [0, 1, 1, 1, 1], 4, 1, 1),
    "no allowed position at all": ([NO] * 5, [NO] * 5, [0] * 5, 4, 0, 0),
    "nothing but the empty outcome": ([-3, NO, NO, NO, NO], [-3, NO, NO, NO, NO], [0] * 5, 4, 0, 0),
    "padding after the text": ([0, 9, 0, NO, NO], [0, 0, 0, NO, NO], [0, 1, 1, 1, 1], 4, 1, 1),
    "equal spans: the earliest": ([0, 5, 5, 0, 0], [0, 5, 5, 0, 0], [0, 1, 1, 1, 1], 4, 1, 1),
    "not present outweighs the only span": ([5.1, 5, NO, NO, NO], [5, 5, NO, NO, NO], [0, 1, 1, 1, 1], 1, 0, 0),
    "spans together outweigh not present": ([5, 5, 5, NO, NO], [5, 5, 5, NO, NO], [0, 1, 1, 1, 1], 1, 1, 1),
    "a limit of one token": ([0, 9, 5, 0, 0], [0, 0, 9, 0, 0], [0, 1, 1, 1, 1], 1, 2, 2),
    "huge logits": ([0, 1e4, -1e4, 0, 0], [0, -1e4, 1e4, 0, 0], [0, 1, 1, 1, 1], 4, 1, 2),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_table_of_spans(case):
    start, end, turns, longest, low, high = case
    found = decode_spans(np.array([start], np.float32), np.array([end], np.float32), np.array(turns), longest)
    assert (found[0][0], found[1][0]) == (low, high)
    assert 0 <= found[2][0] <= 1


def test_confidence_is_the_share_of_the_allowed_outcomes():
    # p(start) = p(end) = (1, 2, 1) / 4 over positions 0..2; outcomes: absent 1, spans (1,1) 4, (1,2) 2, (2,2) 1
    logits = np.log(np.array([[1.0, 2.0, 1.0]]))
    start, end, confidence = decode_spans(logits, logits, np.array([0, 1, 1]), 5)
    assert (start[0], end[0]) == (1, 1)
    assert confidence[0] == pytest.approx(4 / 8)


def test_confidence_where_every_allowed_outcome_is_hopeless():
    # start insists on position 2, end on position 1: what is left are (1, 1) and (2, 2), equally far away
    start = np.array([[NO, -900.0, 0.0]])
    end = np.array([[NO, 0.0, -900.0]])
    low, high, confidence = decode_spans(start, end, np.array([0, 1, 1]), 5)
    assert (low[0], high[0]) == (1, 1)
    assert confidence[0] == pytest.approx(0.5)


def test_confidence_one_without_any_choice():
    assert decode_spans(np.full((2, 3), NO), np.full((2, 3), NO), np.zeros(3, int), 5)[2].tolist() == [1.0, 1.0]


def test_no_queries_and_no_tokens():
    for shape in ((0, 7), (3, 0)):
        start, end, confidence = decode_spans(np.zeros(shape), np.zeros(shape), np.zeros(shape, int), 5)
        assert len(start) == len(end) == len(confidence) == shape[0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_damaged_logits_are_refused(bad):
    with pytest.raises(EquipoiseError, match="E_SPAN_LOGITS"):
        decode_spans(np.array([[0.0, bad]]), np.zeros((1, 2)), np.zeros(2, int), 3)


def enumerate_spans(start, end, turns, longest):
    """Every allowed outcome with its score, in the order that breaks ties."""

    def log_softmax(values):
        top = max(values)
        return [v - top - math.log(sum(math.exp(w - top) for w in values)) for v in values]

    start, end = log_softmax(start), log_softmax(end)
    outcomes = [((0, 0), start[0] + end[0])]
    for s in range(1, len(start)):
        for e in range(s, min(s + longest, len(start))):
            if turns[e] != turns[s]:
                break
            outcomes.append(((s, e), start[s] + end[e]))
    return outcomes


@settings(max_examples=150, deadline=None)
@given(data=st.data(), length=st.integers(1, 14), longest=st.integers(1, 9))
def test_equals_plain_enumeration(data, length, longest):
    logit = st.floats(-40, 40, width=32)
    rows = data.draw(st.integers(1, 4))
    start = np.array(
        data.draw(st.lists(st.lists(logit, min_size=length, max_size=length), min_size=rows, max_size=rows))
    )
    end = np.array(data.draw(st.lists(st.lists(logit, min_size=length, max_size=length), min_size=rows, max_size=rows)))
    turns = np.cumsum(data.draw(st.lists(st.integers(0, 1), min_size=length, max_size=length)))
    found = decode_spans(start, end, turns, longest)
    for row in range(rows):
        outcomes = dict(enumerate_spans(start[row], end[row], turns, longest))
        total = sum(math.exp(score) for score in outcomes.values())
        got = (int(found[0][row]), int(found[1][row]))
        assert found[2][row] == pytest.approx(math.exp(outcomes[got]) / total, rel=1e-6)
        absent = math.exp(outcomes.pop((0, 0)))
        if got == (0, 0):
            assert absent >= (total - absent) * (1 - 1e-6)
        else:
            assert absent <= (total - absent) * (1 + 1e-6)
            assert outcomes[got] == pytest.approx(max(outcomes.values()), abs=1e-9)


def test_batches_larger_than_a_block_equal_single_queries(monkeypatch):
    random = np.random.default_rng(3)
    start, end = random.normal(size=(50, 40)), random.normal(size=(50, 40))
    turns = np.repeat(np.arange(8), 5)
    alone = [decode_spans(start[i : i + 1], end[i : i + 1], turns, 4) for i in range(50)]
    monkeypatch.setattr("components.workloads.tool_calling.decode.CELLS", 300)
    together = decode_spans(start, end, np.tile(turns, (50, 1)), 4)
    for column in range(3):
        assert np.array_equal(together[column], np.concatenate([a[column] for a in alone]))


HISTORY = (Message(USER, "ignored"), Message(USER, "👩‍👧 meet in  San José ,please"))
#          tokens of message 1:  BOS  👩‍👧 (two tokens) " meet"  " in"   "  San"   " José"  " "
TOKENS = ([0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 3, 8, 11, 16, 21], [0, 3, 3, 8, 11, 16, 21, 22])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 0, None),
        (5, 6, FoundSpan("San José", 1, 13, 21, 0.5)),
        (1, 2, FoundSpan("👩‍👧", 1, 0, 3, 0.5)),
        (2, 2, FoundSpan("👩‍👧", 1, 0, 3, 0.5)),
        (1, 3, FoundSpan("👩‍👧 meet", 1, 0, 8, 0.5)),
        (7, 7, None),
    ],
)
def test_text_comes_from_the_original_message(start, end, expected):
    assert to_found_span(start, end, 0.5, TOKENS, HISTORY, first_message=1) == expected


@given(text=st.text(max_size=30), start=st.integers(-3, 33), end=st.integers(-3, 33))
def test_trim_equals_strip(text, start, end):
    low, high = trim(text, start, end)
    assert text[low:high] == text[max(start, 0) : max(end, 0)].strip()


@pytest.mark.parametrize(
    ("text", "said", "whole"),
    [
        ("to New Alameda please", "New Ala", "New Alameda"),
        ("in San Jose", "ose", "Jose"),
        ("at 5pm today", "5", "5pm"),
        ("Phil's place", "Phi", "Phil"),  # an apostrophe ends a word, as it does where values are looked up
        ("caf\u00e9s there", "caf", "caf\u00e9s"),
        ("$5.50 each", "5.50", "5.50"),
        ("\u53bb\u5317\u4eac\u5427", "\u5317\u4eac", "\u5317\u4eac"),  # no blanks between words: left as it is
        ("a b", "", ""),
    ],
)
def test_a_value_is_made_of_whole_words(text: str, said: str, whole: str) -> None:
    start = text.index(said)
    low, high = whole_words(text, start, start + len(said))
    assert text[low:high] == whole


@given(st.text(max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_whole_words_only_grow_and_stay_as_they_are(text: str, one: int, other: int) -> None:
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    low, high = whole_words(text, start, end)
    assert 0 <= low <= start <= end <= high <= len(text)
    assert whole_words(text, low, high) == (low, high)
