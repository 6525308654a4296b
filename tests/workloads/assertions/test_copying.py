"""The baselines and requests: what is copied, chosen, written, loaded, asked and answered."""

from __future__ import annotations

import json

import pytest

from components.errors import EquipoiseError
from components.workloads.assertions import baseline
from components.workloads.assertions.answers import Prediction
from components.workloads.assertions.baseline import NOTHING, Copying, Majority, Typed
from components.workloads.assertions.compare import token_similarity
from components.workloads.assertions.data import generate, prepare, samples
from components.workloads.assertions.java_syntax import is_call
from components.workloads.assertions.pairs import assert_type
from components.workloads.assertions.requests import read_request, render, request_of
from components.workloads.assertions.retrieval import build_index, load_index
from components.workloads.assertions.type_svm import fit_types
from tests.workloads.assertions.pair_data import pair, row, section, write_rows

KNOWN = [
    pair(test_prefix="Stack s = of(1);", assertion="assertEquals(1, s.size());"),
    pair(test_prefix="Stack empty = of();", focal_code="boolean isEmpty() { return n == 0; }",
         assertion="assertTrue(empty.isEmpty());"),
]  # fmt: skip
SHARES = {"prior": 0.25, "retrieved": 0.5}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("made")
    wanted = section(source=str(place / "raw"), embedded_projects=5, embedded_rows=400)
    generate(wanted, place / "raw")
    prepare(wanted, place / "prepared")
    return wanted, place / "prepared"


def test_copying_answers_with_the_last_earlier_assertion_else_the_nearest():
    index = build_index([(one, "") for one in KNOWN], 1)
    asked = [pair(), pair(test_prefix="Stack none = of();", focal_code=KNOWN[1].focal_code)]
    first, second = Copying("copy_last", index, SHARES).predict(asked)
    assert (first.assertion, first.confidence) == ("assertEquals(0, stack.size());", 0.25)
    assert first.alternatives == ("assertEquals(1, s.size());",)
    assert (second.assertion, second.confidence) == ("assertTrue(empty.isEmpty());", 0.5)
    retrieved = Copying("retrieval", index, SHARES).predict(asked)
    assert [one.assertion for one in retrieved] == ["assertEquals(1, s.size());", "assertTrue(empty.isEmpty());"]


def test_where_nothing_can_be_copied_the_answer_is_still_java():
    (answer,) = Copying("copy_last", build_index([], 1), SHARES).predict([pair(test_prefix="f();")])
    assert answer.assertion == NOTHING and is_call(NOTHING)
    assert Copying("copy_last", build_index([], 1), SHARES).predict([]) == []


def test_the_better_form_on_validation_is_written_and_loaded(made, tmp_path):
    wanted, prepared = made
    baseline.fit_baseline(wanted, prepared, tmp_path / "first")
    card = json.loads((tmp_path / "first" / "model.json").read_text())
    labelled = list(samples(prepared, "validation"))
    index = load_index(prepared)
    means = {}
    for form in baseline.FORMS:
        answers = Copying(form, index, SHARES).predict(labelled)
        means[form] = sum(token_similarity(a.assertion, p.assertion) for a, p in zip(answers, labelled, strict=True))
        assert card["likeness"][form] == pytest.approx(means[form] / len(labelled))
    assert card["form"] == max(means, key=lambda form: means[form])
    assert card["kind"] == "baseline"
    asked = list(samples(prepared, "test"))
    loaded = baseline.load(tmp_path / "first")
    assert loaded.predict(asked) == Copying(card["form"], index, card["confidences"]).predict(asked)
    baseline.fit_baseline(wanted, prepared, tmp_path / "second")
    for name in ("model.json", "retrieval.json", "retrieval.safetensors"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_the_confidence_is_the_share_that_was_right(made, tmp_path):
    wanted, prepared = made
    baseline.fit_baseline(wanted, prepared, tmp_path / "b")
    model = baseline.load(tmp_path / "b")
    labelled = [p for p in samples(prepared, "validation") if p.prior is not None]
    answers = Copying("copy_last", model.index, model.confidences).predict(labelled)
    right = [a.assertion == p.assertion for a, p in zip(answers, labelled, strict=True)]
    assert answers[0].confidence == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize(
    "change",
    [
        {"form": "guess"},
        {"format": 99},
        {"kind": "trm"},
        {"confidences": {"prior": 2.0, "retrieved": 0.1}},
        {"confidences": {}},
        {"files": {}},
        {"files": None},
    ],
)
def test_a_damaged_baseline_is_refused(made, tmp_path, change):
    wanted, prepared = made
    baseline.fit_baseline(wanted, prepared, tmp_path / "b")
    path = tmp_path / "b" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(EquipoiseError) as caught:
        baseline.load(tmp_path / "b")
    assert caught.value.exit_code == 65


def test_all_rules_answer_every_sample_with_java(made):
    wanted, prepared = made
    asked = list(samples(prepared, "test"))
    found = baseline.rules(wanted, prepared)
    assert set(found) == {"retrieval", "copy_last", "svm", "majority"}
    accuracy = {}
    for name, rule in found.items():
        answers = rule.predict(asked)
        assert len(answers) == len(asked)
        assert all(is_call(answer.assertion) for answer in answers), name
        right = [assert_type(a.assertion) == p.assert_type for a, p in zip(answers, asked, strict=True)]
        accuracy[name] = sum(right) / len(right)
    assert accuracy["svm"] > accuracy["majority"]
    assert isinstance(found["majority"], Majority) and isinstance(found["svm"], Typed)


def test_the_machine_names_kinds_it_was_shown():
    shown = [*KNOWN * 5]
    machine = fit_types(shown, 1.0)
    assert machine.types(KNOWN) == ["assertEquals", "assertTrue"]
    assert fit_types(KNOWN[:1], 1.0).types(KNOWN) == ["assertEquals", "assertEquals"]
    assert fit_types([], 1.0).types([]) == []


def test_the_most_frequent_assertion_is_counted_without_layout(tmp_path):
    texts = ["assertNull(x);", "assertTrue( y );", "assertTrue(y);"]
    rows = [row(project="a", test_prefix=f"f({i});", assertion=text) for i, text in enumerate(texts)]
    rows += [row(project=name, test_prefix=f"g({name});") for name in "bc"]
    write_rows(tmp_path / "raw" / "rows.jsonl", rows)
    held = {"validation_projects": ("b",), "test_projects": ("c",)}
    prepare(section(source=str(tmp_path / "raw"), **held), tmp_path / "prepared")
    assert baseline.fit_majority(tmp_path / "prepared") == Majority("assertTrue(y);", 2 / 3)


def test_a_request_holds_all_that_a_model_reads_and_no_answer(made):
    _, prepared = made
    for one in list(samples(prepared, "test"))[:20]:
        asked = request_of(one)
        assert one.assertion not in json.dumps(asked).replace(one.prior or "-", "") or one.assertion in one.test_prefix
        read = read_request(json.loads(json.dumps(asked)), "request")
        assert read.assertion is None and read.assert_type is None
        for name in ("focal_code", "test_prefix", "test_name", "test_class", "focal_class", "prior", "n_prior_asserts"):
            assert getattr(read, name) == getattr(one, name)


def test_the_least_request_and_its_answer():
    read = read_request({"focal_code": "int f() { return 1; }", "test_prefix": "int x = f();"}, "request")
    assert (read.test_name, read.project, read.prior) == ("", "", None)
    answer = render(Prediction("assertEquals(1, x);", 0.123456789, alternatives=("assertNull(x);",)))
    assert answer == {
        "assertion": "assertEquals(1, x);",
        "assert_type": "assertEquals",
        "confidence": 0.123457,
        "alternatives": ["assertNull(x);"],
    }
