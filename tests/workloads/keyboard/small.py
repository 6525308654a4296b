"""Small data and sections for tests of the keyboard."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.config_keyboard import KeyboardData
from components.workloads.keyboard.data import prepare
from components.workloads.keyboard.generator import write_messages


def message_line(**changes: Any) -> dict[str, Any]:
    """A good line of messages.jsonl, with changes."""
    return {"user": "a", "conversation": "1", "language": "en", "text": "hello there"} | changes


def data_section(**changes: Any) -> KeyboardData:
    """A data section for small tests, with changes."""
    values: dict[str, Any] = {
        "source": "data/raw/keyboard", "format": "auto", "parts": ["nus_en"], "codespell": False,
        "validation_share": 0.2, "test_share": 0.2, "seed": 7, "embedded_users": 20, "embedded_messages": 400,
        "completion_share": 0.3, "error_share": 0.2, "clean_share": 0.1, "vocabulary": 600, "history_messages": 2,
        "history_tokens": 16, "message_tokens": 32, "emoji_signs": 512, "emoji_strength": 1.0, "screens": 20,
        "processes": 1, "fonts": [], "missing_glyphs": "block",
    }  # fmt: skip
    return KeyboardData.model_validate(values | changes)


def prepared_small(folder: Path, **changes: Any) -> Path:
    """Embedded data of 20 users, prepared."""
    write_messages(3, 20, 400, folder / "raw")
    prepare(SimpleNamespace(data=data_section(source=str(folder / "raw"), **changes)), folder / "prepared")
    return folder / "prepared"


def write_lines(folder: Path, *lines: dict[str, Any]) -> Path:
    """A messages.jsonl of these lines."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "messages.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder
