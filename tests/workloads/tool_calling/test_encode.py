"""Rows say exactly what each sample alone says: same tokens, same labels, whatever they share a row with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.tokenizer import BOS, EOM
from components.errors import EquipoiseError, Exit
from components.workloads.tool_calling.dialogues import (
    ASSISTANT,
    TOOL_RESPONSE,
    USER,
    Labels,
    Message,
    Parameter,
    Sample,
    Span,
    Tool,
)
from components.workloads.tool_calling.elements import (
    INTENT,
    MAX_TOKENS,
    SLOT,
    TOOL,
    ElementTable,
    element_text,
    load_table,
    open_elements,
    words_of,
)
from components.workloads.tool_calling.encode import encode_rows, first_kept
from components.workloads.tool_calling.rows import Rows, ask_arguments
from tests.workloads.tool_calling.small_dialogues import BOOK, FIND, HISTORY, conversation, sample, section, span, table

DATA = section().data
SAMPLES = conversation()
TABLE = table(SAMPLES)


def seen(rows: Rows, index: int, elements: ElementTable) -> dict:
    """All that a model is told of one sample, free of the row's numbering."""
    row = int(rows.sample_row[index])
    low, end = int(rows.row_offsets[row]), int(rows.sample_position[index]) + 1
    part = {
        name: getattr(rows, name)[low : low + end].tolist() for name in ("tokens", "roles", "turns", "starts", "ends")
    }

    def listed(name: str) -> list[int]:
        offsets = getattr(rows, f"row_{name}_offsets")
        return getattr(rows, f"row_{name}s")[offsets[row] : offsets[row + 1]].tolist()

    for name in ("tool", "slot", "intent"):
        part[name] = [elements.fact(e) for e in listed(name)]
    part["first"] = int(rows.row_first[row])
    part["labels"] = [int(getattr(rows, name)[index]) for name in ("decision", "tool", "intent", "sample_position")]
    for kind, names in (("slot", ("element", "start", "end")), ("arg", ("tool", "element", "index", "start", "end"))):
        mine = np.flatnonzero(np.asarray(getattr(rows, f"{kind}_sample")) == index)
        part[f"{kind}_queries"] = [[int(getattr(rows, f"{kind}_{n}")[q]) for n in names] for q in mine]
    return part


def pointed(rows: Rows, samples: list[Sample], kind: str, query: int) -> str:
    """The text a labelled query points at."""
    index = int(getattr(rows, f"{kind}_sample")[query])
    row = int(rows.sample_row[index])
    first, last = (int(getattr(rows, f"{kind}_{end}")[query]) + int(rows.row_offsets[row]) for end in ("start", "end"))
    assert rows.turns[first] == rows.turns[last]
    text = samples[index].history[int(rows.turns[first]) + int(rows.row_first[row])].content
    return text[int(rows.starts[first]) : int(rows.ends[last])]


def test_a_conversation_is_one_row():
    rows = encode_rows(SAMPLES, TABLE, DATA)
    assert rows.count == 1
    assert rows.sample_row.tolist() == [0, 0, 0]
    assert rows.tokens[0] == BOS
    assert rows.tokens[rows.sample_position].tolist() == [EOM] * 3
    assert rows.turns[rows.sample_position].tolist() == [0, 2, 6]
    assert rows.decision.tolist() == [0, 1, 0]
    assert (np.asarray(rows.tokens) == EOM).sum() == len(HISTORY)


def test_labels_by_hand():
    rows = encode_rows(SAMPLES, TABLE, DATA)
    names = [TABLE.fact(e)[1] for e in rows.row_slots]
    assert names == ["city", "outdoor", "party", "time"]  # parameters and slots, once each, by name
    assert [TABLE.fact(e)[1] for e in rows.row_tools] == [BOOK.name, FIND.name]
    assert [TABLE.fact(e)[1] for e in rows.row_intents] == ["book", "find", "none"]
    assert rows.tool.tolist() == [-1, 0, -1]
    assert rows.intent.tolist() == [0, 0, 2]
    assert rows.slot_sample.tolist() == [0, 0, 1, 1, 2, 2]
    assert [names[e] for e in rows.slot_element] == ["city", "party"] * 3
    assert rows.slot_start.tolist()[1:] == [-1, 0, 0, 0, 0]  # party has a value that stands nowhere
    assert rows.slot_end.tolist()[1:] == [-1, 0, 0, 0, 0]
    assert pointed(rows, SAMPLES, "slot", 0) == "San José"
    assert [names[e] for e in rows.arg_element] == ["city", "outdoor", "time"]
    assert rows.arg_index.tolist() == [0, 1, 2]
    assert rows.arg_tool.tolist() == [0, 0, 0]
    assert pointed(rows, SAMPLES, "arg", 0) == "San José"
    assert rows.arg_start[1] == rows.arg_end[1] == -1  # filled, but never said
    assert pointed(rows, SAMPLES, "arg", 2) == "11:30 am"


def test_an_optional_argument_left_out_is_not_present():
    call = replace(
        SAMPLES[1], labels=Labels(1, BOOK.name, arguments={"city": "x"}, argument_spans={"city": span(0, "San")})
    )
    rows = encode_rows([call], TABLE, DATA)
    assert rows.arg_start[1:].tolist() == rows.arg_end[1:].tolist() == [0, 0]


def test_tool_responses_are_cut_and_spans_in_the_cut_part_are_unknown():
    found, lost = span(4, "377 Santana Row"), span(4, "live_music")
    call = Labels(1, BOOK.name, arguments={"city": "a", "time": "b"}, argument_spans={"city": found, "time": lost})
    short = DATA.model_copy(update={"tool_response_tokens": 14})
    samples = [sample("s", HISTORY, call)]
    rows = encode_rows(samples, TABLE, short)
    assert (np.asarray(rows.roles) == TOOL_RESPONSE).sum() == 15
    assert pointed(rows, samples, "arg", 0) == "377 Santana Row"
    assert rows.arg_start[2] == rows.arg_end[2] == -1
    assert (encode_rows(samples, TABLE, short).arg_start == rows.arg_start).all()
    none = encode_rows(samples, TABLE, DATA.model_copy(update={"tool_response_tokens": 0}))
    assert none.arg_start.tolist() == [-1, 0, -1]


def test_the_cut_moves_in_half_windows():
    lengths = [10] * 30
    assert first_kept(lengths[:6], 4, 64) == (0, 0)
    assert first_kept(lengths[:7], 6, 64) == (4, 0)  # 70 - 64 = 6 -> 32 -> the boundary at 40
    assert first_kept(lengths[:9], 8, 64) == (4, 0)
    assert first_kept(lengths[:10], 9, 64) == (7, 0)  # 100 - 64 = 36 -> 64 -> 70


def test_the_last_user_turn_is_kept_whole_while_it_fits():
    assert first_kept([60, 50], 1, 64) == (1, 0)
    assert first_kept([5, 60, 3], 1, 64) == (1, 0)  # the cut at 32 would have lost it
    assert first_kept([5, 62, 3], 1, 64) == (2, 0)  # with its answer it does not fit
    assert first_kept([5, 100], 1, 64) == (1, 36)  # longer than the window: its end is kept


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=40), st.integers(32, 80).map(lambda n: 2 * n), st.data())
def test_never_above_the_window(lengths, window, data):
    last_user = data.draw(st.integers(-1, len(lengths) - 1))
    first, dropped = first_kept(lengths, last_user, window)
    assert 0 <= first < len(lengths)
    assert 0 <= dropped < lengths[first]
    assert sum(lengths[first:]) - dropped <= window
    assert (first, dropped) == (0, 0) or sum(lengths) > window
    if last_user >= 0 and sum(lengths[last_user:]) <= window:
        assert first <= last_user and dropped == 0


def test_a_message_longer_than_the_window_keeps_its_end():
    long = Message(USER, "Book a table " * 60 + "in San José")
    labels = Labels(
        1, BOOK.name, arguments={"city": "San José", "time": "x"},
        argument_spans={"city": Span(0, len(long.content) - 8, len(long.content)), "time": Span(0, 0, 4)},
    )  # fmt: skip
    samples = [sample("s", (long,), labels)]
    rows = encode_rows(samples, TABLE, DATA.model_copy(update={"window": 64}))
    assert len(rows.tokens) == 65
    assert pointed(rows, samples, "arg", 0) == "San José"
    assert rows.arg_start[2] == -1


def test_branches_and_other_offers_get_rows_of_their_own():
    other = (*HISTORY[:2], Message(USER, "Never mind"))
    fewer = replace(SAMPLES[2], tools=(FIND,))
    elsewhere = replace(SAMPLES[1], conversation="another")
    again = replace(SAMPLES[1], id="again")
    samples = [*SAMPLES, sample("b", other, conversation="c1"), fewer, elsewhere, again]
    rows = encode_rows(samples, TABLE, DATA)
    row = rows.sample_row.tolist()
    assert row[0] == row[1] == row[2] == row[6]
    assert len({row[0], row[3], row[4], row[5]}) == 4
    assert rows.sample_position[6] == rows.sample_position[1]


def test_unlabelled_samples_ask_every_slot_and_no_argument():
    rows = encode_rows([replace(s, labels=None) for s in SAMPLES], TABLE, DATA)
    assert rows.decision.tolist() == rows.tool.tolist() == rows.intent.tolist() == [-1, -1, -1]
    assert len(rows.slot_sample) == 6
    assert len(rows.arg_sample) == 0


def test_arguments_of_any_tool_can_be_asked_later():
    rows = ask_arguments(
        encode_rows([replace(s, labels=None) for s in SAMPLES], TABLE, DATA), TABLE.arrays(), [1, 0, -1]
    )
    names = [TABLE.fact(e)[1] for e in rows.row_slots]
    assert rows.arg_sample.tolist() == [0, 1, 1, 1]
    assert [names[e] for e in rows.arg_element] == ["city", "city", "outdoor", "time"]
    assert rows.arg_index.tolist() == [0, 0, 1, 2]
    labelled = encode_rows(SAMPLES, TABLE, DATA)
    assert rows.arg_element[1:].tolist() == labelled.arg_element.tolist()
    assert rows.arg_tool[1:].tolist() == labelled.arg_tool.tolist()


def test_no_tools_no_slots_no_intents():
    rows = encode_rows([Sample("s", "c", (), HISTORY[:1])], TABLE, DATA)
    assert len(rows.row_tools) == len(rows.row_slots) == len(rows.row_intents) == 0
    assert rows.row_tool_offsets.tolist() == [0, 0]


def test_nothing_gives_no_rows():
    rows = encode_rows([], TABLE, DATA)
    assert rows.count == 0 and len(rows.tokens) == 0


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"history": ()}, "at least one message"),
        ({"labels": Labels(2)}, "must be 0"),
        ({"labels": Labels(1)}, "must be named"),
        ({"labels": Labels(1, "nobody")}, "one of the offered"),
        ({"labels": Labels(1, FIND.name, arguments={"time": "x"})}, "parameters of that tool"),
        ({"labels": Labels(0, slots={"city": "x"}, slot_spans={"city": Span(0, 5, 5)})}, "within its message"),
        ({"labels": Labels(0, slots={"city": "x"}, slot_spans={"city": Span(0, 5, 5000)})}, "within its message"),
        ({"labels": Labels(0, slots={"city": "x"}, slot_spans={"city": Span(9, 0, 1)})}, "within its message"),
        ({"labels": Labels(0, slots={"city": "x"}, slot_spans={"city": Span(-1, 0, 1)})}, "within its message"),
        ({"tools": (FIND, FIND)}, "must not stand twice"),
        ({"tools": (Tool("t", "", (Parameter("a", ""), Parameter("a", "b"))),)}, "must not stand twice"),
    ],
)
def test_contradictions_name_the_sample(change, rule):
    with pytest.raises(EquipoiseError, match=rule) as error:
        encode_rows([replace(SAMPLES[0], **change)], TABLE, DATA)
    assert error.value.exit_code == Exit.BAD_DATA
    assert "c1/1" in error.value.place


WORDS = st.text(alphabet=st.sampled_from("ab é🍽️日\u0301\n"), min_size=1, max_size=12)


@st.composite
def conversations(draw):
    """Up to 12 messages with decisions at random places; some labelled with a random span."""
    history = tuple(
        Message(draw(st.sampled_from([USER, ASSISTANT, TOOL_RESPONSE])), draw(WORDS) * draw(st.sampled_from([1, 1, 8])))
        for _ in range(draw(st.integers(1, 12)))
    )
    samples = []
    for number in range(draw(st.integers(1, 6))):
        length = draw(st.integers(1, len(history)))
        turn = draw(st.integers(0, length - 1))
        text = history[turn].content
        start = draw(st.integers(0, len(text) - 1))
        place = Span(turn, start, draw(st.integers(start + 1, len(text))))
        labels = draw(
            st.sampled_from(
                [
                    Labels(0, intent="find", slots={"city": "x"}, slot_spans={"city": place}),
                    Labels(1, BOOK.name, "book", {"time": "x"}, {"time": place}),
                    Labels(1, FIND.name, "book", {"city": "x"}),
                ]
            )
        )
        samples.append(
            replace(
                sample(f"s{number}", history[:length], labels), tools=draw(st.sampled_from([(BOOK,), (FIND, BOOK)]))
            )
        )
        if labels.tool == FIND.name:
            samples[-1] = replace(samples[-1], tools=(FIND, BOOK))
    return samples


@settings(max_examples=60, deadline=None)
@given(conversations(), st.sampled_from([64, 66, 100]))
def test_a_shared_row_tells_each_sample_what_it_is_told_alone(samples, window):
    small = DATA.model_copy(update={"window": window, "tool_response_tokens": 5})
    together = encode_rows(samples, TABLE, small)
    for index, one in enumerate(samples):
        alone = encode_rows([one], TABLE, small)
        assert seen(together, index, TABLE) == seen(alone, 0, TABLE)
        assert alone.count == 1
        assert alone.sample_position[0] == len(alone.tokens) - 1


@settings(max_examples=60, deadline=None)
@given(conversations())
def test_spans_point_at_their_text(samples):
    whole = DATA.model_copy(update={"window": 8192, "tool_response_tokens": 10_000})
    rows = encode_rows(samples, TABLE, whole)
    for kind, spans in (("slot", "slot_spans"), ("arg", "argument_spans")):
        for query in np.flatnonzero(np.asarray(getattr(rows, f"{kind}_start")) > 0):
            one = samples[int(getattr(rows, f"{kind}_sample")[query])]
            place = next(iter(getattr(one.labels, spans).values()))
            said = one.history[place.turn].content[place.start : place.end].strip(" ")
            assert said.strip() in pointed(rows, samples, kind, query)


def test_words_of_names():
    assert words_of("Restaurants_2.FindTable") == "Restaurants 2 Find Table"
    assert words_of("getHTTPResponse2") == "get HTTP Response 2"
    assert words_of("日本_語") == "日本 語"
    assert (
        element_text("is_open", "Whether it is open", ("True", "False")) == "is open: Whether it is open (True, False)"
    )
    assert element_text("a", "") == "a"


def test_elements_are_numbered_once_and_kept_on_disk(tmp_path):
    trained = ElementTable(TABLE.tokenizer, {"tool": [BOOK.name], "slot": ["city", "time"], "intent": ["book"]})
    encode_rows(SAMPLES, trained, DATA)
    size = len(trained)
    encode_rows(conversation("c2"), trained, DATA)
    assert len(trained) == size == 2 + 4 + 3
    arrays = trained.arrays()
    for e in range(size):
        kind, name, _, _ = trained.fact(e)
        assert arrays.kind[e] == kind
        known = {TOOL: [BOOK.name], SLOT: ["city", "time"], INTENT: ["book"]}[kind]
        assert arrays.vocabulary[e] == (known.index(name) if name in known else -1)
    book = next(e for e in range(size) if trained.fact(e)[1] == BOOK.name)
    low, high = arrays.tool_param_offsets[book : book + 2]
    assert [trained.fact(int(p))[1] for p in arrays.tool_params[low:high]] == ["city", "outdoor", "time"]
    assert arrays.tool_param_required[low:high].tolist() == [1, 0, 1]
    trained.save(tmp_path / "elements")
    loaded = load_table(tmp_path / "elements", TABLE.tokenizer)
    for name, values in vars(open_elements(tmp_path / "elements")).items():
        assert values.tolist() == getattr(arrays, name).tolist() == getattr(loaded.arrays(), name).tolist()
    assert loaded.slot("new", "") == size


def test_an_endless_description_is_cut():
    grown = ElementTable(TABLE.tokenizer, {"tool": (), "slot": (), "intent": ()})
    grown.intent("i", "word " * 10_000)
    assert len(grown.arrays().tokens) == MAX_TOKENS


def test_one_name_with_other_values_is_another_element():
    grown = ElementTable(TABLE.tokenizer, {"tool": (), "slot": (), "intent": ()})
    assert grown.slot("a", "b", ("1",)) != grown.slot("a", "b", ("2",))
    assert grown.slot("a", "b", ("1",)) == 0
