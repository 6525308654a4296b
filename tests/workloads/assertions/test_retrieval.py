"""The nearest row: the same weights as scikit-learn's vectorizer, never of the own group where that is asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from components.errors import EquipoiseError
from components.workloads.assertions import retrieval
from components.workloads.assertions.retrieval import build_index, load_index, terms_of
from tests.workloads.assertions.pair_data import pair

ROWS = [
    pair(project=f"p{i % 3}", focal_code=f"int {name}() {{ return {name}; }}", test_prefix=f"Box b = {made};",
         assertion=f"assertEquals({i}, b.{name}());")
    for i, (name, made) in enumerate(
        [("size", "new Box()"), ("width", "new Box(1)"), ("size", "Box.of(2)"), ("depth", "null"), ("width", "of()")]
    )
]  # fmt: skip


@pytest.fixture
def index():
    return build_index(((row, row.project) for row in ROWS), 1)


def test_weights_are_those_of_scikit_learn(index):
    vectorizer = TfidfVectorizer(analyzer=lambda row: list(terms_of(row)), sublinear_tf=True)
    expected = vectorizer.fit_transform(ROWS)
    assert list(index.terms) == list(vectorizer.get_feature_names_out())
    np.testing.assert_allclose(index.matrix.toarray(), expected.toarray(), atol=1e-6)
    query = [pair(focal_code="int size() { return 1; }", test_prefix="Other o = new Box();")]
    np.testing.assert_allclose(index.vectors(query).toarray(), vectorizer.transform(query).toarray(), atol=1e-6)


def test_the_nearest_row_is_found(index):
    found = index.nearest([ROWS[3], ROWS[1], pair(focal_code="int size() { return size; }", test_prefix="Box b = 1;")])
    assert [one.row for one in found][:2] == [3, 1]
    assert found[0].assertion == "assertEquals(3, b.depth());"
    assert found[0].similarity == pytest.approx(1.0, abs=1e-6)
    assert found[2].row in {0, 2}


def test_elsewhere_never_finds_the_own_group(index):
    found = index.nearest_elsewhere(ROWS, [row.project for row in ROWS])
    for row, one in zip(ROWS, found, strict=True):
        assert ROWS[one.row].project != row.project
    alone = build_index([(ROWS[0], "a"), (ROWS[1], "a")], 1)
    assert [one.row for one in alone.nearest_elsewhere(ROWS[:2], ["a", "a"])] == [-1, -1]
    assert alone.nearest_elsewhere(ROWS[:1], ["b"])[0].row == 0


def test_nothing_in_common_finds_nothing(index):
    (found,) = index.nearest([pair(focal_code="enum X { }", test_prefix="zzz")])
    assert found.row in {-1, *range(len(ROWS))}
    (found,) = build_index([(ROWS[0], "a")], 2).nearest([ROWS[0]])
    assert (found.row, found.assertion, found.similarity) == (-1, None, 0.0)
    (found,) = build_index([], 1).nearest([ROWS[0]])
    assert found.row == -1


def test_blocks_do_not_change_the_answer(index, monkeypatch):
    whole = index.nearest(ROWS)
    monkeypatch.setattr(retrieval, "CELLS", 6)
    assert index.nearest(ROWS) == whole


def test_saved_and_loaded_it_answers_the_same(index, tmp_path):
    index.save(tmp_path)
    assert load_index(tmp_path).nearest(ROWS) == index.nearest(ROWS)
    (tmp_path / "again").mkdir()
    index.save(tmp_path / "again")
    for name in (retrieval.WORDS, retrieval.ARRAYS):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("change", [lambda w: w["terms"].pop(), lambda w: w["groups"].pop(), lambda w: w.pop("terms")])
def test_a_damaged_index_is_refused(index, tmp_path, change):
    index.save(tmp_path)
    words = json.loads((tmp_path / retrieval.WORDS).read_text())
    change(words)
    (tmp_path / retrieval.WORDS).write_text(json.dumps(words))
    with pytest.raises(EquipoiseError, match="whole index") as caught:
        load_index(tmp_path)
    assert caught.value.exit_code == 65


def test_without_files_it_is_missing(tmp_path):
    with pytest.raises(EquipoiseError) as caught:
        load_index(tmp_path)
    assert caught.value.exit_code == 66
