"""Scores of single samples worked by hand, metrics of tables against scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from components.config import EvaluationConfig
from components.errors import EquipoiseError
from components.evaluation.predictions import judged
from components.workloads.tool_calling.dialogues import (
    ASSISTANT,
    USER,
    FoundSpan,
    Labels,
    Message,
    Parameter,
    Prediction,
    Sample,
    Span,
    Tool,
)
from components.workloads.tool_calling.metrics import (
    HEADS,
    differences,
    metrics,
    score,
    token_f1,
    validation_metrics,
    values,
)

TOOL = Tool("Trains.book", "Book a train", (Parameter("city", "where to"), Parameter("day", "when", required=False)))
HISTORY = (Message(USER, "To  Paris, please. Paris!"), Message(ASSISTANT, "When?"), Message(USER, "on tuesday night"))
LABELS = Labels(
    decision=1,
    tool="Trains.book",
    intent="travel",
    arguments={"city": "Paris", "day": "2019-03-05"},
    argument_spans={"city": Span(0, 4, 9), "day": Span(2, 3, 10)},
    slots={"city": "Paris"},
    slot_spans={"city": Span(0, 4, 9)},
    spellings={"day": ("Tuesday", "this tuesday")},
)
SAMPLE = Sample("s", "c", (TOOL,), HISTORY, {"city": "where to"}, {"travel": "", "none": ""}, "Trains", LABELS)


def at(turn, start, end):
    return FoundSpan(HISTORY[turn].content[start:end], turn, start, end, 0.9)


CITY, DAY = at(0, 4, 9), at(2, 3, 10)
RIGHT = Prediction(0.9, "Trains.book", 0.8, "travel", 0.7, *[{"city": CITY, "day": DAY}] * 2, {"city": CITY}, 2)


def row(prediction=RIGHT, labels=LABELS, known=frozenset({"Trains.book"})):
    return score([replace(SAMPLE, labels=labels)], [prediction], known).row(0, named=True)


def shares(prediction=RIGHT, labels=LABELS):
    found = row(prediction, labels)
    return {head: (found[f"{head}/hit"], found[f"{head}/of"]) for head in HEADS}


def with_arguments(**arguments):
    return replace(RIGHT, arguments=arguments, given_arguments=arguments)


def test_everything_right():
    assert shares() == {
        "decision/accuracy": (1, 1),
        "tool/accuracy": (1, 1),
        "intent/accuracy": (1, 1),
        **{f"slots/{m}": (1, 1) for m in ("exact_match", "start", "end", "token_f1")},
        **{f"arguments/{m}": (2, 2) for m in ("exact_match", "start", "end", "token_f1")},
        "arguments/text": (2, 2),
        "call/accuracy": (1, 1),
    }


def test_the_columns_of_a_row():
    found = row()
    assert [found[c] for c in ("id", "conversation", "service", "seen", "messages")] == ["s", "c", "Trains", True, 3]
    assert [found[c] for c in ("decision_label", "decision_probability", "decision_prediction")] == [1, 0.9, 1]
    assert [found[c] for c in ("tool_label", "tool_prediction", "tool_confidence")] == ["Trains.book"] * 2 + [0.8]
    assert [found[c] for c in ("intent_label", "intent_prediction", "intent_confidence")] == ["travel"] * 2 + [0.7]
    assert found["steps"] == 2
    assert judged(score([SAMPLE], [RIGHT])) == list(HEADS)


ARGUMENTS = {
    # name: (predicted arguments, exact, start, end, token F1, text, whole call) of two labelled spans
    "white space around a span does not matter": ({"city": at(0, 2, 9), "day": DAY}, 2, 2, 2, 2, 2, 1),
    "the same value at another mention": ({"city": at(0, 19, 24), "day": DAY}, 1, 1, 1, 2, 2, 1),
    "start right, end too far": ({"city": at(0, 4, 17), "day": DAY}, 1, 2, 1, 1.5, 1, 0),
    "end right, start too early": ({"city": at(0, 0, 9), "day": DAY}, 1, 1, 2, 1 + 2 / 3, 1, 0),
    "one not found": ({"day": DAY}, 1, 1, 1, 1, 1, 0),
    "none found": ({}, 0, 0, 0, 0, 0, 0),
    "an argument that was not asked for": ({"city": CITY, "day": DAY, "class": CITY}, 2, 2, 2, 2, 2, 0),
    "offsets of another message": ({"city": FoundSpan("When?", 1, 4, 9, 1.0), "day": DAY}, 1, 1, 1, 1, 1, 0),
}


@pytest.mark.parametrize("case", ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_table_of_arguments(case):
    arguments, exact, start, end, tokens, text, whole = case
    found = shares(with_arguments(**arguments))
    assert found["arguments/exact_match"] == (exact, 2)
    assert found["arguments/start"] == (start, 2)
    assert found["arguments/end"] == (end, 2)
    assert found["arguments/token_f1"] == (pytest.approx(tokens), 2)
    assert found["arguments/text"] == (text, 2)
    assert found["call/accuracy"] == (whole, 1)


def test_arguments_are_judged_apart_from_the_choice_of_the_tool():
    wrong = replace(RIGHT, tool="Trains.cancel", arguments={})
    found = shares(wrong)
    assert found["tool/accuracy"] == (0, 1)
    assert found["arguments/exact_match"] == (2, 2)
    assert found["call/accuracy"] == (0, 1)


def test_a_call_that_is_not_made_is_not_right():
    found = shares(replace(RIGHT, decision_probability=0.49))
    assert found["decision/accuracy"] == (0, 1)
    assert found["tool/accuracy"] == (1, 1)
    assert found["call/accuracy"] == (0, 1)


def test_canonical_value_or_any_spelling_is_accepted_whatever_its_case():
    for text, right in {"2019-03-05": 1, "TUESDAY": 1, "this   Tuesday": 1, "monday": 0}.items():
        arguments = {"city": CITY, "day": FoundSpan(text, 2, 0, len(text), 1.0)}
        assert shares(with_arguments(**arguments))["call/accuracy"] == (right, 1)


def test_direct_answers_have_no_say_in_calls():
    labels = Labels(decision=0, slots={"city": "Paris"}, slot_spans={"city": Span(0, 4, 9)})
    found = shares(replace(RIGHT, decision_probability=0.2), labels)
    for head in ("tool/accuracy", "intent/accuracy", "arguments/exact_match", "arguments/text", "call/accuracy"):
        assert found[head] == (0, 0)
    assert found["decision/accuracy"] == (1, 1)
    assert found["slots/exact_match"] == (1, 1)


@pytest.mark.parametrize(
    ("decision", "known", "seen"),
    [
        (1, {"Trains.book"}, True),
        (1, {"Trains.cancel"}, False),
        (0, {"Trains.book"}, True),
        (0, set(), False),
        (1, None, None),
    ],
)
def test_seen(decision, known, seen):
    labels = LABELS if decision else Labels(decision=0)
    assert row(labels=labels, known=known)["seen"] is seen


def test_samples_without_labels_are_refused():
    with pytest.raises(EquipoiseError, match="E_LABELS sample s"):
        score([replace(SAMPLE, labels=None)], [RIGHT])


@pytest.mark.parametrize(
    ("said", "true", "expected"),
    [
        ("San José", "san josé", 1),
        ("San", "San Jose", 2 / 3),
        ("", "San", 0),
        ("12:30", "12 : 30", 1),
        ("a a b", "a b b", 2 / 3),
    ],
)
def test_token_f1(said, true, expected):
    assert token_f1(said, true) == pytest.approx(expected)
    assert token_f1(true, said) == pytest.approx(expected)


@given(st.text(max_size=20), st.text(max_size=20))
def test_token_f1_is_a_share_and_symmetric(left, right):
    assert 0 <= token_f1(left, right) == token_f1(right, left) <= 1


SETTINGS = EvaluationConfig(resamples=200, confidence=0.9, seed=3, calibration_bins=10, minimum_slice=5)


def table(seed, samples=120):
    """Scores of random predictions for random labels."""
    random = np.random.default_rng(seed)
    rows, said = [], []
    labels_of = np.random.default_rng(0)
    for i in range(samples):
        decision = int(labels_of.random() < 0.4)
        labels = LABELS if decision else Labels(decision=0, intent="none")
        rows.append(replace(SAMPLE, id=f"s{i}", conversation=f"c{i // 5}", labels=labels))
        probability = float(np.clip(0.5 * decision + 0.6 * random.random() - 0.05, 0, 1))
        intent = str(random.choice(["travel", "none", "other"]))
        arguments = {"city": CITY} if random.random() < 0.5 else {"city": CITY, "day": DAY}
        said.append(replace(with_arguments(**arguments), decision_probability=probability, intent=intent))
    return score(rows, said, {"Trains.book"})


def test_metrics_equal_scikit_learn():
    frame = table(1)
    label, said = frame["decision_label"].to_numpy(), frame["decision_prediction"].to_numpy()
    probability = frame["decision_probability"].to_numpy()
    expected = {
        "decision/accuracy": accuracy_score(label, said),
        "decision/f1": f1_score(label, said),
        "decision/macro_f1": f1_score(label, said, average="macro"),
        "decision/auroc": roc_auc_score(label, probability),
        "decision/brier": np.mean((probability - label) ** 2),
        "intent/accuracy": accuracy_score(frame["intent_label"], frame["intent_prediction"]),
        "intent/macro_f1": f1_score(frame["intent_label"], frame["intent_prediction"], average="macro"),
        "steps/mean": 2.0,
        "tool/accuracy": 1.0,
        "tool/accuracy_seen": 1.0,
        "call/accuracy": frame.filter(pl.col("decision_label") == 1)["call/accuracy/hit"].mean(),
    }
    found = metrics(frame, SETTINGS)
    plain = values(frame, SETTINGS.calibration_bins)
    for name, value in expected.items():
        assert found[f"test/{name}"].value == pytest.approx(value), name
        assert plain[name] == pytest.approx(value), name
    assert {name.removeprefix("test/") for name in found} == set(plain)
    assert "tool/accuracy_unseen" not in plain  # no sample has a say in it


def test_intervals_hold_their_values_and_repeat():
    frame = table(1)
    found = metrics(frame, SETTINGS, "validation")
    assert found == metrics(frame, SETTINGS, "validation")
    for name, (value, low, high) in found.items():
        assert name.startswith("validation/")
        assert low - 1e-9 <= high
        if name.endswith("accuracy"):
            assert low <= value <= high


def test_differences_are_paired():
    good, bad = table(1), table(2)
    same = differences(good, good, SETTINGS)
    assert {v for interval in same.values() for v in interval} == {0.0}
    found = differences(good, bad, SETTINGS)
    one, other = metrics(good, SETTINGS), metrics(bad, SETTINGS)
    for name, (value, _, _) in found.items():
        assert value == pytest.approx(one[name].value - other[name].value), name
    with pytest.raises(ValueError, match="same samples"):
        differences(good, bad.reverse(), SETTINGS)


def test_validation_metrics_are_a_plain_mean():
    frame = score([SAMPLE], [with_arguments(city=CITY)])
    assert validation_metrics(frame) == {
        "decision/accuracy": 1.0,
        "tool/accuracy": 1.0,
        "slots/exact_match": 1.0,
        "arguments/exact_match": 0.5,
        "objective": 3.5 / 4,
    }


def test_what_the_split_does_not_define_is_left_out():
    frame = score([replace(SAMPLE, labels=Labels(decision=0))], [RIGHT])
    assert validation_metrics(frame) == {"decision/accuracy": 0.0, "objective": 0.0}
    assert not {"tool/accuracy", "intent/macro_f1", "decision/auroc"} & set(values(frame, 10))
    empty = score([], [])
    assert metrics(empty, SETTINGS) == {}
    assert differences(empty, empty, SETTINGS) == {}
    assert validation_metrics(empty) == {"objective": 0.0}
