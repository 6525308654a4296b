"""Which split a row belongs to."""

from __future__ import annotations

import pytest

from components.errors import EquipoiseError
from components.workloads.assertions.splits import group_of, input_key, row_key, splitter
from tests.workloads.assertions.pair_data import pair, section

PROJECTS = [f"p{i}" for i in range(10)]


def homes(data, projects):
    split = splitter(data, projects)
    return {name: split(pair(project=name)) for name in projects}


def test_whole_projects_are_held_out_about_the_shares():
    found = list(homes(section(test_share=0.3, validation_share=0.2).data, PROJECTS).values())
    assert (found.count("test"), found.count("validation"), found.count("train")) == (3, 2, 5)


def test_the_choice_depends_on_the_seed_alone():
    first = homes(section(seed=1).data, PROJECTS)
    assert homes(section(seed=1).data, PROJECTS[::-1]) == {name: first[name] for name in PROJECTS}
    assert any(homes(section(seed=seed).data, PROJECTS) != first for seed in range(2, 6))


def test_named_projects_are_held_out():
    data = section(validation_projects=("p1",), test_projects=("p2", "p3")).data
    found = homes(data, PROJECTS)
    assert [name for name in PROJECTS if found[name] == "test"] == ["p2", "p3"]
    assert [name for name in PROJECTS if found[name] == "validation"] == ["p1"]


def test_a_misspelled_project_is_refused_with_the_nearest():
    with pytest.raises(EquipoiseError, match=r"test_projects: must name projects.*Did you mean `p2`") as caught:
        splitter(section(validation_projects=("p1",), test_projects=("p2x",)).data, ["p1", "p2", "p3"])
    assert caught.value.exit_code == 78


def test_too_few_projects_are_refused():
    with pytest.raises(EquipoiseError, match="at least 3 projects") as caught:
        splitter(section().data, ["a", "b"])
    assert caught.value.exit_code == 65


def test_nothing_left_to_train_on_is_refused():
    with pytest.raises(EquipoiseError, match="leave a project to train on"):
        splitter(section(validation_projects=("a",), test_projects=("b", "c")).data, ["a", "b", "c"])


def test_tests_of_a_file_stay_together():
    split = splitter(section(split="file").data, ["alpha"])
    rows = [pair(path=f"src/{i}Test.java", test_class=f"Inner{j}Test") for i in range(60) for j in range(3)]
    found = [split(row) for row in rows]
    assert all(len(set(found[i : i + 3])) == 1 for i in range(0, len(found), 3))
    assert {"train", "validation", "test"} == set(found)
    assert len({split(pair(path="", test_class=f"{i}Test")) for i in range(60)}) == 3


def test_random_rows_do_not_stay_together():
    split = splitter(section(split="random").data, ["alpha"])
    found = [split(pair(test_prefix=f"f({i});")) for i in range(200)]
    assert 0.1 < found.count("test") / 200 < 0.3


def test_training_retrieves_as_testing_does():
    one = pair()
    assert group_of(section().data, one, 5) == "alpha"
    assert group_of(section().data, one, 1) == "alpha/src/test/java/alpha/StackTest.java"
    assert group_of(section(split="file").data, one, 5) == "alpha/src/test/java/alpha/StackTest.java"
    assert group_of(section(split="random").data, one, 5) == one.id


def test_keys_ignore_layout_comments_and_names():
    one, two = pair(), pair(project="beta", focal_code="public int size() { /* n */ return count; }")
    assert row_key(one) == row_key(two)
    other = pair(assertion="assertEquals(2, stack.size());")
    assert row_key(one) != row_key(other)
    assert input_key(one) == input_key(other) == input_key(two)
    assert input_key(one) != input_key(pair(test_prefix="stack.push(1);"))
