"""Edits of params.yaml: comments stay, types are those of the configuration, a refused edit changes nothing."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.config import load_config
from components.config_edit import Edit, edit, relative_source
from components.errors import EquipoiseError

SHIPPED = Path(__file__).parents[1] / "params.yaml"
W = "tool_calling"


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(SHIPPED.read_bytes())
    return path


def test_one_value_changes_one_line_and_comments_stay(params):
    edits = edit(params, W, ["training.epochs=2"])
    before, after = SHIPPED.read_text().splitlines(), params.read_text().splitlines()
    changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert len(changed) == 1 and "epochs" in changed[0][1]
    assert edits == [Edit("tool_calling.training.epochs", load_config(SHIPPED).tool_calling.training.epochs, 2)]


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("training.learning_rate=3e-3", "training.learning_rate", 0.003),
        ("tool_calling.training.seed=41", "training.seed", 41),
        ("training.compile=true", "training.compile", True),
        ("data.intent_map=null", "data.intent_map", None),
        ("data.intent_map=a b.json", "data.intent_map", "a b.json"),
        ("loss.decision.alpha=auto", "loss.decision.alpha", "auto"),
        ("loss.tool.schedule=[[0, 1], [0.5, 0.25]]", "loss.tool.schedule", ((0.0, 1.0), (0.5, 0.25))),
        ("training.learning_rate=1", "training.learning_rate", 1.0),
    ],
)
def test_a_value_takes_the_type_of_its_field(params, assignment, path, value):
    edit(params, W, [assignment])
    found = load_config(params).tool_calling
    for step in path.split("."):
        found = getattr(found, step)
    assert found == value and type(found) is type(value)


def test_a_key_with_a_dot_in_a_mapping(params):
    edit(params, W, ["tuning.space.decision.weight=[0.5, 2]"])
    assert load_config(params).tool_calling.tuning.space["decision.weight"] == (0.5, 2.0)


def test_the_same_value_writes_nothing(params):
    stamp, same = params.stat().st_mtime_ns, load_config(params).tool_calling.training.seed
    assert edit(params, W, [f"training.seed={same}"]) == []
    assert params.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("assignments", "code", "exit_code", "says"),
    [
        (["training.epochs"], "E_USAGE", 2, "key=value"),
        (["=3"], "E_USAGE", 2, "key=value"),
        (["training.epoch=3"], "E_CONFIG_KEY", 78, "tool_calling.training.epochs"),
        (["trainning.epochs=3"], "E_CONFIG_KEY", 78, "training"),
        (["training.epochs.more=3"], "E_CONFIG_KEY", 78, "no such key"),
        (["training=3"], "E_CONFIG", 78, "not a section"),
        (["training.epochs=0"], "E_CONFIG", 78, "training.epochs"),
        (["training.epochs=2.5"], "E_CONFIG", 78, "training.epochs"),
        (["training.epochs=yes"], "E_CONFIG", 78, "epochs"),
        (["training.learning_rate=.nan"], "E_CONFIG", 78, "learning_rate"),
        (["training.learning_rate=.inf"], "E_CONFIG", 78, "finite"),
        (["training.learning_rate=-1"], "E_CONFIG", 78, "learning_rate"),
        (["model.no_gradient_steps=99"], "E_CONFIG", 78, "no_gradient_steps"),
        (["data.source=!!python/name:os.system"], "E_CONFIG", 78, "plain YAML"),
        (["data.source=&a [*a]"], "E_CONFIG", 78, "plain YAML"),
        (["data.source=[unclosed"], "E_CONFIG", 78, "plain YAML"),
        (["training.seed=3", "training.epochs=-1"], "E_CONFIG", 78, "epochs"),
    ],
)
def test_a_refused_edit_leaves_the_file_as_it_was(params, assignments, code, exit_code, says):
    with pytest.raises(EquipoiseError) as caught:
        edit(params, W, assignments)
    assert (caught.value.code, int(caught.value.exit_code)) == (code, exit_code)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert params.read_bytes() == SHIPPED.read_bytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(min_value=1e-9, max_value=1e9, allow_nan=False))
def test_any_positive_float_is_read_back_exactly(params, value):
    edit(params, W, [f"training.learning_rate={value!r}"])
    assert load_config(params).tool_calling.training.learning_rate == value


def test_data_is_relative_to_the_project_where_it_was_typed_so(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    (tmp_path / "dialogues").mkdir()
    monkeypatch.chdir(tmp_path)
    assert relative_source(tmp_path / "project", "dialogues") == "../dialogues"
    assert relative_source(tmp_path / "project", str(tmp_path / "dialogues")) == str(tmp_path / "dialogues")
    with pytest.raises(EquipoiseError) as caught:
        relative_source(tmp_path / "project", "nothing")
    assert caught.value.exit_code == 66
