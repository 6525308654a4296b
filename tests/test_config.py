"""params.yaml as strict values: what ships is valid, what is misspelled is answered with the nearest right key."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from components.config import MAX_BYTES, load_config, parse_config, read_yaml
from components.errors import EquipoiseError

SHIPPED = Path(__file__).parents[1] / "params.yaml"


def test_what_ships_is_valid_and_frozen():
    config = load_config(SHIPPED)
    assert config.tool_calling.training.learning_rate > 0
    with pytest.raises(ValidationError):
        config.tool_calling.training.epochs = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_scientific_notation_that_yaml_reads_as_text_is_a_number(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"learning_rate: \S+", "learning_rate: 3e-3", SHIPPED.read_text()))
    assert load_config(path).tool_calling.training.learning_rate == 0.003


def test_every_field_has_one_owner_and_no_hidden_default():
    text = re.sub(r"(?m)^ +clip_norm: .*\n", "", SHIPPED.read_text())
    assert text != SHIPPED.read_text()
    values = yaml.safe_load(text)
    with pytest.raises(EquipoiseError, match="clip_norm: must be present"):
        parse_config(values)


def test_a_large_or_binary_file_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * MAX_BYTES)
    with pytest.raises(EquipoiseError, match="must be below"):
        read_yaml(path)
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(EquipoiseError, match="UTF-8"):
        read_yaml(path)
