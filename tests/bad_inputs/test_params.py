"""Bad parameter files: each answered with one line, its place, the right exit code; nothing is run."""

import re
from pathlib import Path

import pytest

from components.config import load_config
from components.errors import EquipoiseError

SHIPPED = (Path(__file__).parents[2] / "params.yaml").read_text()


def changed(old: str, new: str) -> bytes:
    assert old in SHIPPED
    return SHIPPED.replace(old, new, 1).encode()


def setting(key: str, value: str) -> bytes:
    """The shipped file with the first `key:` of that name holding another value."""
    lines = SHIPPED.splitlines(keepends=True)
    index = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
    indent = lines[index][: len(lines[index]) - len(lines[index].lstrip())]
    lines[index] = f"{indent}{key}: {value}\n"
    return "".join(lines).encode()


DEEP = b"a: " + b"[" * 5000 + b"]" * 5000

ROWS = {
    "empty": (b"", "mapping"),
    "a list": (b"- 1\n", "mapping"),
    "a number": (b"7\n", "mapping"),
    "only comments": (b"# nothing\n", "mapping"),
    "not UTF-8": (b"\xff\xfe\x00", "UTF-8"),
    "UTF-16": (SHIPPED.encode("utf-16"), "UTF-8"),
    "NUL": (SHIPPED.replace("equipoise", "equi\0poise", 1).encode(), "plain YAML"),
    "a tab as indent": (b"project:\n\tname: x\n", "plain YAML"),
    "unclosed": (b"project: [a\n", "plain YAML"),
    "nested 5,000 deep": (DEEP, "plain YAML"),
    "an alias bomb": (b"a: &a [x]\nb: [*a, *a]\n", "plain YAML"),
    "a Python tag": (b"project: !!python/object/apply:os.system ['true']\n", "plain YAML"),
    "a key twice": (SHIPPED.encode() + b"project: other\n", "twice"),
    "a key that is no text": (SHIPPED.encode() + b"1: x\n", "text"),
    "two documents": (SHIPPED.encode() + b"---\na: 1\n", "plain YAML"),
    "unknown section": (SHIPPED.encode() + b"extra: {}\n", "no such key"),
    "misspelled key": (changed("    epochs: ", "    epoch: "), "`epochs`"),
    "misspelled section": (changed("  training:\n", "  trainig:\n"), "`training`"),
    "missing section": (b"project: equipoise\n", "present"),
    "a key of another section": (changed("  training:\n", "  training:\n    width: 32\n"), "no such key"),
    "project with a slash": (setting("project", "a/b"), "project"),
    "project in capitals": (setting("project", "Equipoise"), "project"),
    "negative weight": (changed("decision: {weight: 1.0", "decision: {weight: -1.0"), "loss.decision.weight"),
    "NaN weight": (changed("decision: {weight: 1.0", "decision: {weight: .nan"), "loss.decision.weight"),
    "infinite weight": (changed("decision: {weight: 1.0", "decision: {weight: .inf"), "loss.decision.weight"),
    "all weights zero": (
        re.sub(r"weight: [0-9.]+,", "weight: 0.0,", SHIPPED).encode(),
        "at least one weight",
    ),
    "schedule that goes back": (
        changed(
            "tool: {weight: 1.0, schedule: [[0.0, 1.0]]}", "tool: {weight: 1.0, schedule: [[0.5, 1.0], [0.2, 1.0]]}"
        ),
        "rise",
    ),
    "empty schedule": (
        changed("tool: {weight: 1.0, schedule: [[0.0, 1.0]]}", "tool: {weight: 1.0, schedule: []}"),
        "loss.tool.schedule",
    ),
    "K = N_sup": (setting("no_gradient_steps", "64"), "no_gradient_steps"),
    "batch 0": (setting("batch_tokens", "0"), "batch_tokens"),
    "window shorter than a turn": (setting("window", "1"), "window"),
    "half an epoch": (setting("epochs", "0.5"), "epochs"),
    "yes for a number": (setting("epochs", "yes"), "epochs"),
    "on for a number": (setting("seed", "on"), "seed"),
    "text for a number": (setting("width", "wide"), "width"),
    "null for a number": (setting("width", "null"), "width"),
    "dropout 1": (setting("dropout", "1.0"), "dropout"),
    "width no multiple of the heads": (setting("width", "130"), "width"),
    "precision of another kind": (setting("precision", "fp8"), "precision"),
    "validation share 0": (setting("validation_share", "0"), "validation_share"),
    "data format of another kind": (setting("format", "csv"), "format"),
    "gate without heads": (SHIPPED[: SHIPPED.index("    heads:\n")].encode() + b"    heads: []\n", "gate.heads"),
    "margin 0": (changed("margin: 0.01,", "margin: 0,"), "margin"),
    "no primary head": (SHIPPED.replace("role: primary", "role: guard").encode(), "primary"),
    "range upside down": (changed("decision.weight: [0.25, 4.0]", "decision.weight: [4.0, 0.25]"), "lower end"),
    "1e400": (setting("learning_rate", "1e400"), "learning_rate"),
}


@pytest.mark.parametrize("name", ROWS)
def test_one_line_with_place_rule_value_hint(tmp_path, name):
    content, says = ROWS[name]
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(EquipoiseError) as caught:
        load_config(path)
    line = str(caught.value)
    assert int(caught.value.exit_code) == 78
    assert says in line
    assert line.startswith("E_") and line.isprintable() and ", got " in line and len(line) < 1000


def test_no_file_and_a_folder_in_its_place(tmp_path):
    for path in (tmp_path / "params.yaml", tmp_path):
        with pytest.raises(EquipoiseError) as caught:
            load_config(path)
        assert int(caught.value.exit_code) == 66
