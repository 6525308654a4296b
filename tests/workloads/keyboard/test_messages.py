"""What prepare keeps of messages: histories that come back as they were and take no more room than what was said."""

from __future__ import annotations

import gzip
from collections import defaultdict, deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import EquipoiseError
from components.workloads.keyboard.messages import Message, MessageWriter, read_messages

TEXTS = st.sampled_from(["a", "b", "so it is", ""])
TURNS = st.lists(st.tuples(st.sampled_from(["", "one", "two"]), TEXTS, st.booleans()), max_size=30)


def message(number: int, user: str, text: str, history: tuple[str, ...]) -> Message:
    return Message(f"lines/a:{number}", user, "lines", "en", text, history)


def written(path: Path, messages: list[Message]) -> list[Message]:
    writer = MessageWriter(path)
    for each in messages:
        writer.write(each)
    writer.close()
    return list(read_messages(path))


@settings(max_examples=100, deadline=None)
@given(turns=TURNS, remembered=st.integers(0, 5))
def test_histories_come_back_whatever_was_forgotten_heard_or_begun_anew(tmp_path_factory, turns, remembered) -> None:
    said: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=remembered))
    messages = []
    for number, (user, text, left_out) in enumerate(turns):
        if not left_out:
            messages.append(message(number, user, text, tuple(said[user])))
        said[user].append(text)
        if not text:
            said[user].clear()
    assert written(tmp_path_factory.mktemp("kept") / "messages.jsonl.gz", messages) == messages


def test_a_long_history_is_not_written_again_with_every_message(tmp_path: Path) -> None:
    texts = [f"this is what was said the {number}th time" for number in range(200)]
    messages = [message(i, "one", text, tuple(texts[max(i - 100, 0) : i])) for i, text in enumerate(texts)]
    assert written(tmp_path / "kept.jsonl.gz", messages) == messages
    kept = gzip.decompress((tmp_path / "kept.jsonl.gz").read_bytes()).decode()
    assert [kept.count(text) for text in texts] == [1] * 200


@pytest.mark.parametrize("history", ['["a"]', "[0]", '[0,["a"],1]', '["0",[]]', "null"])
def test_a_damaged_history_is_named(tmp_path: Path, history: str) -> None:
    written(tmp_path / "kept.jsonl.gz", [message(0, "one", "a", ())])
    line = gzip.decompress((tmp_path / "kept.jsonl.gz").read_bytes()).decode().replace("[0,[]]", history)
    (tmp_path / "kept.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    with pytest.raises(EquipoiseError, match=r"kept\.jsonl\.gz:1: must be prepared samples"):
        list(read_messages(tmp_path / "kept.jsonl.gz"))
