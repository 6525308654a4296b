"""The linear baseline: numbers equal to scikit-learn, a folder that holds what was fitted, choices from the offer."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from components.errors import EquipoiseError
from components.workloads.tool_calling import baseline, tfidf
from components.workloads.tool_calling.dialogues import (
    ASSISTANT,
    TOOL_CALL,
    TOOL_RESPONSE,
    USER,
    FoundSpan,
    Labels,
    Message,
    Parameter,
    Sample,
    Span,
    Tool,
)
from components.workloads.tool_calling.value_dictionary import Counts, Finder

CITIES = ("Paris", "San José", "New York", "York", "Lyon")
BOOK = Tool("Trains.book", "Book a train seat", (Parameter("city", "where to"),))
PLAY = Tool("Music.play", "Play a song", (Parameter("song", "title of the song"),))
COOK = Tool("Kitchen.cook", "Cook a soup for dinner", (Parameter("city", "city of the recipe"),))


def samples(count=240, seed=4):
    """Train dialogues: a city, then either a question back or a call once the user says yes."""
    random = np.random.default_rng(seed)
    for i in range(count):
        city, calls, train = str(random.choice(CITIES)), i % 3 == 0, random.random() < 0.5
        ask = f"book a train to {city}" if train else f"play the song {city}"
        history = [
            Message(USER, ask),
            Message(ASSISTANT, "shall I go on?"),
            Message(USER, "yes do it" if calls else "wait"),
        ]
        start = len(ask) - len(city)
        tool, name = ("Trains.book", "city") if train else ("Music.play", "song")
        span = Span(0, start, len(ask))
        labels = Labels(
            decision=int(calls),
            tool=tool if calls else None,
            intent="travel" if train else "listen",
            arguments={name: city} if calls else {},
            argument_spans={name: span} if calls else {},
            slots={name: city},
            slot_spans={name: span},
        )
        slots = {"city": "where to", "song": "title"}
        intents = {"travel": "go somewhere", "listen": "hear music"}
        yield Sample(f"s{i}", f"c{i}", (BOOK, PLAY), tuple(history), slots, intents, "Trains", labels)


@pytest.fixture(scope="module")
def fitted():
    return baseline.fit(samples(), minimum=2, strength=10.0, passes=20)


def test_blocks_of_a_history():
    history = [
        Message(USER, "one"),
        Message(ASSISTANT, "two"),
        Message(USER, "three"),
        Message(TOOL_CALL, "call"),
        Message(TOOL_RESPONSE, "response"),
        Message(ASSISTANT, "four"),
        Message(USER, "five"),
    ]
    assert tfidf.blocks(history) == (("five",), ("four",), ("three",), ("five",))
    assert tfidf.blocks(history[:3]) == (("three",), ("two",), ("one",), ("one", "three"))
    assert tfidf.blocks([]) == ((), (), (), ())


def test_features_equal_scikit_learn():
    documents = [tfidf.blocks(sample.history) for sample in samples()]
    vocabularies, features = tfidf.fit(iter(documents), minimum=3)
    unseen = [*documents[:20], ((), (), (), ()), (("xyzzy",), ("shall",), ("to paris",), ("to paris", "to lyon"))]
    ours = tfidf.transform(vocabularies, unseen).toarray()
    trained, tested = [], []
    for block in range(len(tfidf.BLOCKS)):
        oracle = TfidfVectorizer(analyzer=lambda d: [t for m in d for t in tfidf.terms(m)], min_df=3, sublinear_tf=True)
        trained.append(oracle.fit_transform([d[block] for d in documents]).toarray())
        tested.append(oracle.transform([d[block] for d in unseen]).toarray())
        assert list(vocabularies[block].terms) == list(oracle.get_feature_names_out())
    assert np.allclose(features.toarray(), np.hstack(trained), atol=1e-12)
    assert np.allclose(ours, np.hstack(tested), atol=1e-12)


def test_probabilities_equal_scikit_learn_after_a_round_trip(fitted, tmp_path):
    baseline.write(fitted, tmp_path / "model", "digest")
    loaded = baseline.load(tmp_path / "model")
    documents = [tfidf.blocks(sample.history) for sample in samples()]
    _, features = tfidf.fit(iter(documents), minimum=2)
    labels = [sample.labels.decision for sample in samples()]
    oracle = LogisticRegression(C=10.0, max_iter=1000).fit(features, labels).predict_proba(features)[:, 1]
    ours = [p.decision_probability for p in loaded.predict(list(samples()))]
    assert np.allclose(ours, oracle, atol=1e-6)
    quick = LogisticRegression(C=10.0, solver="saga", max_iter=20, tol=1e-3, random_state=0)
    intents = [sample.labels.intent for sample in samples()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        quick.fit(features, intents)
    theirs = quick.predict_proba(features)
    assert np.allclose(loaded.heads["intent"].probabilities(features), theirs, atol=1e-6)


def test_the_same_samples_give_the_same_bytes_and_predictions(fitted, tmp_path):
    again = baseline.fit(samples(), minimum=2, strength=10.0, passes=20)
    for name, model in (("a", fitted), ("b", again)):
        baseline.write(model, tmp_path / name, "digest")
    for file in baseline.FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    loaded = baseline.load(tmp_path / "a")
    assert loaded.predict(list(samples(30, 9))) == fitted.predict(list(samples(30, 9)))
    assert loaded.tools == {"Trains.book", "Music.play"}
    assert not [p for p in (tmp_path / "a").rglob("*") if p.suffix in (".pkl", ".joblib", ".npy")]


def test_it_has_learned_what_there_was_to_learn(fitted):
    test = list(samples(60, 8))
    said = fitted.predict(test, [sample.labels.tool for sample in test])
    assert all((p.decision_probability > 0.5) == bool(s.labels.decision) for p, s in zip(said, test, strict=True))
    assert all(p.intent == s.labels.intent for p, s in zip(said, test, strict=True))
    calls = [(p, s) for p, s in zip(said, test, strict=True) if s.labels.decision]
    assert all(p.tool == s.labels.tool for p, s in calls)
    for prediction, sample in calls:
        for name, span in sample.labels.argument_spans.items():
            found = prediction.given_arguments[name]
            assert (found.turn, found.start, found.end) == (span.turn, span.start, span.end)


def test_one_sample_alone_equals_the_batch(fitted):
    test = list(samples(10, 8))
    assert [fitted.predict([sample])[0] for sample in test] == fitted.predict(test)
    assert fitted.predict([]) == []


def sample_of(text, tools=(BOOK, PLAY), **changes):
    return replace(next(samples(1)), history=(Message(USER, text),), tools=tools, labels=None, **changes)


def test_only_offered_tools_are_chosen_and_new_ones_by_their_description(fitted):
    one = fitted.predict([sample_of("book a train to Paris", (PLAY,))])[0]
    assert (one.tool, one.tool_confidence) == ("Music.play", pytest.approx(1.0))
    new = fitted.predict([sample_of("cook me a soup for dinner", (BOOK, PLAY, COOK))])[0]
    assert new.tool == "Kitchen.cook"
    known = fitted.predict([sample_of("book a train to Paris", (BOOK, PLAY, COOK))])[0]
    assert known.tool == "Trains.book"
    none = fitted.predict([sample_of("book a train to Paris", ())])[0]
    assert (none.tool, none.tool_confidence, none.arguments) == (None, 0.0, {})


def test_given_names_the_tool_whose_arguments_are_wanted(fitted):
    said = fitted.predict([sample_of("book a train to Paris")], ["Music.play"])[0]
    assert set(said.arguments) == {"city"}
    assert set(said.given_arguments) == {"song"}
    assert fitted.predict([sample_of("book a train to Paris", given_tool="Music.play")]) == [said]


def test_strange_histories_are_answered(fitted):
    for text in ("", "👩‍👧", "?!", "\x00", "word " * 3000):
        said = fitted.predict([sample_of(text)])[0]
        assert 0 <= said.decision_probability <= 1
        assert math.isfinite(said.tool_confidence)
    empty = replace(sample_of(""), history=(), intents={}, slots={})
    assert fitted.predict([empty])[0].intent is None


def test_majority_says_the_most_frequent_whatever_was_said(fitted):
    said = baseline.majority(fitted).predict([sample_of("a"), sample_of("b", (COOK,), intents={"new": ""})])
    share = fitted.counts["decision"]["1"] / 240
    assert [p.decision_probability for p in said] == [share, share]
    most = max(fitted.counts["tool"].items(), key=lambda item: item[1])[0]
    assert [p.tool for p in said] == [most, "Kitchen.cook"]
    assert said[1].intent == "new"
    assert said[0].arguments == said[0].slots == {}


@pytest.mark.parametrize("keep", [lambda s: s.labels.decision == 0, lambda s: s.labels.tool == "Trains.book"])
def test_one_class_is_enough(keep):
    model = baseline.fit((s for s in samples() if keep(s)), minimum=1, strength=1.0, passes=5)
    share = np.mean([p.decision_probability for p in model.predict(list(samples(20)))])
    assert share < 0.05 or share > 0.95


def test_samples_without_labels_teach_nothing():
    with pytest.raises(EquipoiseError, match="needs labelled training samples"):
        baseline.fit((replace(s, labels=None) for s in samples(3)), minimum=1, strength=1.0, passes=5)


@pytest.fixture
def folder(fitted, tmp_path):
    baseline.write(fitted, tmp_path / "model", "digest")
    return tmp_path / "model"


@pytest.mark.parametrize("name", baseline.FILES)
def test_missing_and_cut_files_are_refused(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EquipoiseError, match="E_MODEL"):
        baseline.load(folder)
    (folder / name).unlink()
    with pytest.raises(EquipoiseError, match="E_MISSING"):
        baseline.load(folder)


def test_parts_that_do_not_fit_are_refused(folder):
    path, model = folder / "weights.safetensors", folder / "model.json"
    arrays = load_file(path)
    for change in (
        {"tool.weights": arrays["tool.weights"][:-1]},
        {"tool.bias": arrays["tool.bias"] * np.float32("nan")},
        {"idf.last_user": arrays["idf.last_user"][1:]},
    ):
        save_file({**arrays, **change}, path)
        with pytest.raises(EquipoiseError, match="E_MODEL"):
            baseline.load(folder)
    save_file(arrays, path)
    facts = json.loads(model.read_text())
    for change in ({"kind": "trm"}, {"format": 99}):
        model.write_text(json.dumps({**facts, **change}))
        with pytest.raises(EquipoiseError, match="E_MODEL"):
            baseline.load(folder)


def say(*texts):
    return tuple(Message(i % 2, text) for i, text in enumerate(texts))


DICTIONARY = {"york": {"city": 3}, "new york": {"city": 1}, "$ 5 . 50": {"price": 2, "fare": 1}, "two": {"seats": 1}}
FINDS = {
    # name: (slot, closed values, messages, latest, expected text, turn, start)
    "the longest match": ("city", (), say("to New York"), True, ("New York", 0, 3)),
    "the latest message": ("city", (), say("to york", "York?", "yes"), True, ("York", 1, 0)),
    "the first place of the latest value": (
        "city",
        (),
        say("new york", "York?", "NEW YORK"),
        False,
        ("new york", 0, 0),
    ),
    "the last in a message": ("city", (), say("York or york"), True, ("york", 0, 8)),
    "whole words only": ("city", (), say("Yorkshire"), True, None),
    "punctuation belongs to a value": ("price", (), say("it is $5.50."), True, ("$5.50", 0, 6)),
    "another slot's value": ("seats", (), say("york"), True, None),
    "names without their service": ("Trains_1.city", (), say("york"), True, ("york", 0, 0)),
    "closed values": ("class", ("First Class", "second"), say("in FIRST  class"), True, ("FIRST  class", 0, 3)),
    "offsets after an emoji": ("city", (), say("👩‍👧 York"), True, ("York", 0, 4)),
    "tool messages say nothing": ("city", (), (Message(TOOL_RESPONSE, "york"),), True, None),
}


@pytest.mark.parametrize("case", FINDS.values(), ids=FINDS.keys())
def test_table_of_found_values(case):
    slot, closed, history, latest, expected = case
    found = Finder(DICTIONARY, latest).find(slot, history, closed)
    assert (found and (found.text, found.turn, found.start)) == expected
    if found:
        assert history[found.turn].content[found.start : found.end] == found.text


def test_confidence_is_the_smoothed_share_of_the_slot():
    found = Finder(DICTIONARY, True).find("price", say("$5.50"))
    assert found == FoundSpan("$5.50", 0, 0, 5, pytest.approx((2 + 1) / (3 + 2)))


def test_counting_takes_a_mention_once_and_notes_which_one_was_meant():
    counts = Counts()
    history = say("to Lyon", "Lyon?", "Lyon")
    for i in range(3):
        labels = Labels(0, slots={"A_1.city": "Lyon"}, slot_spans={"A_1.city": Span(0, 3, 7)})
        counts.add(Sample(f"s{i}", "c", (), history, labels=labels))
    assert {text: dict(slots) for text, slots in counts.texts.items()} == {"lyon": {"city": 1}}
    assert (counts.first, counts.last) == (1, 0)
