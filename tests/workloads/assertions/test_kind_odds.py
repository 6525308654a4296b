"""What hints at a kind, read off one test by hand, and the linear model of it: learned, kept, refused when damaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from components.data.hashed_odds import HashedOdds
from components.errors import EquipoiseError
from components.workloads.assertions.data import samples
from components.workloads.assertions.kind_odds import KINDS, fit_kinds, load_kinds
from components.workloads.assertions.kind_signs import returned, signs
from components.workloads.assertions.pairs import ASSERT_TYPES, Pair
from components.workloads.assertions.reading import load_reading

PAIR = Pair(
    id="0", project="p", path="", test_class="BoxTest", test_name="testIsEmptyFalse", focal_class="Box",
    focal_method="isEmpty", focal_code="public boolean isEmpty() { return size == 0; }",
    test_prefix='Box box = new Box(); assertTrue(box.isEmpty()); box.add("x"); int n = box.size(2);',
    assertion="assertFalse(box.isEmpty());", assert_type="assertFalse", n_prior_asserts=1,
    prior="assertTrue ( box . isEmpty ( ) ) ;",
)  # fmt: skip


def test_the_signs_of_a_test_are_those_that_one_reads_in_it():
    found = signs(PAIR)
    assert {
        "kind assertTrue", "kinds  assertTrue", "number 1", "returned boolean", "returned, kind boolean assertTrue",
        "always False assertTrue", "acted since True assertTrue", "verb is", "method isEmpty", "test ends false",
        "boolean, test ends True false", "tests is empty", "class box", "since text", "since add", "last number",
        "last begins int", "last ends ( number )", "declared, returned int boolean", "prior begins box . isEmpty",
        "prior calls True boolean assertTrue", "called since False boolean assertTrue",
    } <= found  # fmt: skip
    assert "last add" not in found  # of the statement before
    assert "since assertTrue" not in found


def test_what_is_to_be_found_is_no_sign():
    other = replace(PAIR, assertion="assertNull(box);", assert_type="assertNull", id="1")
    assert signs(other) == signs(PAIR)


@pytest.mark.parametrize(
    "code, gives",
    [
        ("static int[] isEmpty(int a) { }", "int[]"),
        ("public Map<String, List<Long>> isEmpty() { }", "Map"),
        ("@A(\"isEmpty\") void isEmpty(Object isEmpty) { }", "void"),
        ("isEmpty()", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_type_that_a_method_returns(code, gives):
    assert returned(replace(PAIR, focal_code=code)) == gives


@pytest.mark.parametrize("text", ["", ";", "assertTrue(", "}}}", "> > >", "= ;", '"'])
def test_any_text_has_signs(text):
    assert signs(replace(PAIR, focal_code=text, test_prefix=text, prior=text, test_name="", focal_method=""))


def kinds_of(odds: HashedOdds, pairs: list[Pair]) -> list[str]:
    return [ASSERT_TYPES[i] for i in odds.shares(map(signs, pairs)).argmax(axis=1)]


def test_it_learns_what_decides_and_shares_out_all_probability(small):
    _, prepared = small
    train, held_out = list(samples(prepared, "train")), list(samples(prepared, "test"))
    odds = fit_kinds(train, 256, 0.5)
    assert odds.size == 256 * len(ASSERT_TYPES) + len(ASSERT_TYPES)
    shares = odds.shares(map(signs, held_out))
    assert shares.shape == (len(held_out), len(ASSERT_TYPES))
    assert np.allclose(shares.sum(axis=1), 1.0, atol=1e-5)
    assert shares[:, ASSERT_TYPES.index("assertNull")].max() < 1e-6  # no row of training has it
    right = np.mean([kind == pair.assert_type for kind, pair in zip(kinds_of(odds, held_out), held_out, strict=True)])
    assert right > 0.95  # `clear` and `add` in the prefix tell the three kinds apart


@pytest.mark.parametrize("kinds", [("assertTrue",), ("assertTrue", "assertNull")])
def test_few_kinds_in_training_are_enough(kinds):
    rows = [
        replace(PAIR, assert_type=kind, test_name=f"test{kind}", test_prefix=f"int {kind};", prior=None)
        for kind in kinds
        for _ in range(5)
    ]
    odds = fit_kinds(rows, 64, 10.0)
    assert kinds_of(odds, rows) == [pair.assert_type for pair in rows]


def test_prepared_data_and_a_models_folder_hold_the_same_numbers(small, tmp_path):
    _, prepared = small
    odds = load_reading(prepared).odds
    assert odds is not None
    again = fit_kinds(samples(prepared, "train"), 256, 0.5)
    assert np.array_equal(again.weights, odds.weights) and np.array_equal(again.bias, odds.bias)
    odds.save(tmp_path / KINDS)
    assert (tmp_path / KINDS).read_bytes() == (prepared / KINDS).read_bytes()
    (tmp_path / KINDS).unlink()
    assert load_kinds(tmp_path) is None


@pytest.mark.parametrize(
    "arrays",
    [
        {"weights": np.zeros((4, 2), np.float32), "bias": np.zeros(2, np.float32)},
        {"weights": np.full((4, len(ASSERT_TYPES)), np.nan, np.float32), "bias": np.zeros(11, np.float32)},
        {"weights": np.zeros((4, len(ASSERT_TYPES)), np.float32)},
    ],
)
def test_a_damaged_file_is_refused(arrays, tmp_path):
    save_file(arrays, tmp_path / KINDS)
    with pytest.raises(EquipoiseError) as told:
        load_kinds(tmp_path)
    assert (told.value.code, told.value.exit_code) == ("E_MODEL", 65)
    (tmp_path / KINDS).write_bytes(b"no tensors")
    with pytest.raises(EquipoiseError) as told:
        load_kinds(tmp_path)
    assert told.value.code == "E_MODEL"
