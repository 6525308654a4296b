"""Likeness in meaning: measured where the extra is installed, said to be missing where it is not."""

from __future__ import annotations

import importlib.util

import pytest

from components.errors import EquipoiseError
from components.workloads.assertions import sentences
from components.workloads.assertions.answers import Prediction
from components.workloads.assertions.data import samples
from components.workloads.assertions.evaluate import find
from components.workloads.assertions.evaluation_report import render
from components.workloads.assertions.metrics import MEANING, score, values, with_meaning
from tests.workloads.assertions.small import made

MISSING = "Likeness in meaning was not measured"
needs_extra = pytest.mark.skipif(not sentences.installed(), reason="the extra `semantic` is not installed")


class Says:
    """Answers every sample with one text."""

    def __init__(self, text):
        self.text = text

    def predict(self, samples):
        return [Prediction(self.text, 0.5) for _ in samples]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    section, prepared = made(tmp_path_factory.mktemp("meaning"), 120)
    rules = ("model", "copy_last", "retrieval")
    models = {name: Says("assertTrue(it1.hasLabel());") for name in rules}
    return section, models, list(samples(prepared, "test"))


def share_of_letters(left, right):
    return [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(left, right, strict=True)]


def test_a_table_leaves_it_open_until_somebody_judges(asked):
    _, models, labelled = asked
    frame = score(labelled, models["model"].predict(labelled))
    assert MEANING not in values(frame)
    told = with_meaning(frame, lambda left, right: [0.25 + 0.5 * (a == b) for a, b in zip(left, right, strict=True)])
    right = values(frame)["exact_match/all"]
    assert values(told)[MEANING] == pytest.approx(0.25 + 0.5 * right)
    same = [name for name in frame.columns if not name.startswith(MEANING)]
    assert told.select(same).equals(frame.select(same))


def test_a_report_shows_it_or_says_what_it_lacks(asked):
    section, models, labelled = asked
    without = find(section, models, labelled, frozenset(), None)
    assert MISSING in render(without, section.evaluation) and f"test/{MEANING}" not in without.metrics["model"]
    with_it = find(section, models, labelled, frozenset(), share_of_letters)
    text = render(with_it, section.evaluation)
    assert MISSING not in text and f"test/{MEANING}" in with_it.against["copy_last"]
    value = with_it.metrics["model"][f"test/{MEANING}"].value
    assert f"| likeness in meaning | {value:.3f} [" in text


@pytest.mark.skipif(sentences.installed(), reason="the extra `semantic` is installed")
def test_without_the_extra_one_is_told_what_to_install():
    with pytest.raises(EquipoiseError, match=r"equipoise\[semantic\]") as caught:
        sentences.likeness(["a"], ["b"])
    assert (caught.value.code, caught.value.exit_code) == ("E_EXTRA", 78)


def test_half_an_extra_is_none(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == sentences.PACKAGES[0] else None)
    assert not sentences.installed()


@needs_extra
def test_what_means_the_same_is_nearer_than_what_does_not():
    wanted = "assertEquals(3, list.size());"
    written = [wanted, "assertEquals(4, list.size());", "assertNull(parser.next());", ""]
    found = sentences.likeness([wanted] * 4, written)
    assert found[0] == 1.0 and all(0 <= value <= 1 for value in found)
    assert found[0] > found[1] > found[2] > found[3]
    assert found == pytest.approx([sentences.likeness([wanted], [text])[0] for text in written], abs=1e-5)
    assert sentences.embeddings(["a", "b"]).shape == (2, 384)
    assert sentences.likeness([], []) == []
