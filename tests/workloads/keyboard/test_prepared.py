"""Prepare from lines to arrays: what stands where, split by user, the same bytes twice, and going on after a stop."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from components.data.splits import SPLITS
from components.errors import EquipoiseError, Exit
from components.files import sha256_tree
from components.workloads.keyboard import drawing
from components.workloads.keyboard.counts import load_counts
from components.workloads.keyboard.data import divided, prepare, samples
from components.workloads.keyboard.encode import BOS, SEP, SPECIALS, load_codec
from components.workloads.keyboard.events import LANGUAGES, Layout, Task
from components.workloads.keyboard.messages import Message, Moment, events_of, read_messages
from components.workloads.keyboard.rows import Limits, request_row, typed_bytes
from components.workloads.keyboard.splits import messages_file, text_key
from components.workloads.keyboard.units import fold_text, folded
from tests.workloads.keyboard.small import data_section, message_line, prepared_small, write_lines


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    return prepared_small(tmp_path_factory.mktemp("keyboard"))


def arrays(prepared: Path, split: str) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path) for path in (prepared / split).glob("*.npy")}


@pytest.mark.parametrize("split", SPLITS)
def test_arrays_say_what_the_samples_say(prepared, split):
    codec, found = load_codec(prepared), arrays(prepared, split)
    events = list(samples(prepared, split))
    assert len(events) == len(found["event_row"]) > 20 and (np.diff(found["event_row"]) >= 0).all()
    limits = Limits(2, 16)
    for i, event in enumerate(events):
        labels = event.labels
        row, position = found["event_row"][i], found["event_position"][i]
        start = found["row_offsets"][row]
        tokens = found["tokens"][start : found["row_offsets"][row + 1]]
        assert tokens[: position + 1].tolist() == request_row(codec, event, limits).tolist()
        assert found["row_language"][row] == LANGUAGES.index(event.language)
        assert (found["task"][i], found["layout"][i]) == (labels.task, event.layout)
        assert found["next_layout"][i] == labels.next_layout
        assert (found["clean"][i], found["switch"][i]) == (labels.clean, event.switch)
        assert found["target_lang"][i] == (-1 if labels.target_language is None else labels.target_language)
        assert found["typed"][i].tolist() == typed_bytes(event.typed).tolist()
        target = found["event_word"][i].tolist()
        ahead = tokens[position + 1 :] if labels.task is Task.SUGGESTION else codec.encode(labels.target)
        unknown = [at for at, piece in enumerate(ahead) if piece < len(SPECIALS)]
        known = ahead[: unknown[0] if unknown else None][:5].tolist()
        assert target == known + [-1] * (5 - len(known))
        assert labels.task is Task.SUGGESTION or ahead.tolist() == tokens[position + 1 :][: len(ahead)].tolist()


@pytest.mark.parametrize("split", SPLITS)
def test_screens_are_those_of_their_events(prepared, split):
    found = arrays(prepared, split)
    drawn = [event for event in samples(prepared, split) if event.screen is not None]
    assert len(drawn) == len(found["screens"]) > 5 and found["screens"].shape[1:] == (96, 64)
    assert np.bincount(found["event_screen"][found["event_screen"] >= 0]).tolist() == [1] * len(drawn)
    boxes = found["screen_boxes"]
    assert boxes.shape == (len(drawn), 4, 4) and (boxes[..., :2] < boxes[..., 2:]).all()
    assert boxes.min() >= 0 and boxes.max() <= 1
    for event in drawn:
        assert event.screen.std() > 5 and event.boxes.shape == (4, 4)


def test_rows_begin_with_what_was_said_before(prepared):
    codec, found = load_codec(prepared), arrays(prepared, "train")
    messages = list(read_messages(messages_file(prepared, "train")))
    assert len(messages) == len(found["row_offsets"]) - 1
    for row, message in list(enumerate(messages))[:50]:
        tokens = found["tokens"][found["row_offsets"][row] : found["row_offsets"][row + 1]]
        assert tokens[0] == BOS and tokens.tolist()[1:].count(BOS) == 0
        said = codec.encode(message.text)
        assert tokens[-len(said) :].tolist() == said.tolist()
        assert (SEP in tokens) == bool(message.history)
        assert len(tokens) - len(said) <= 1 + 16


def test_texts_of_a_conversation_are_in_memory_once(prepared):
    messages = list(read_messages(messages_file(prepared, "train")))
    pairs = [(m, n) for m, n in pairwise(messages) if n.history[: len(m.history)] == m.history != ()]
    assert pairs
    assert all(one is other for m, n in pairs for one, other in zip(m.history, n.history, strict=False))


def test_the_counts_are_of_the_training_messages(prepared):
    messages = [m for m in read_messages(messages_file(prepared, "train")) if m.language == "en"]
    counts = load_counts(prepared)["en"]
    words = Counter(word for message in messages for word in folded(message.text))
    assert dict(zip(counts.words, counts.counts.tolist(), strict=True)) == words
    assert counts.levels[2].counts.min() >= 2 > counts.levels[0].counts.min()


def test_a_labelled_place_counts_whatever_the_blanks_before_it():
    def tweet(text: str, emoji: str = "👍") -> bytes:
        moment = Moment(Task.SUGGESTION, len(text) + 1, len(text) + 2, "", Layout.EN, Layout.EMOJI)
        return text_key(Message("1", "", "t", "en", f"{text} {emoji}", moments=(moment,), labelled=True))

    assert tweet("so  good") == tweet("So good")
    assert tweet("so good", "🎁") != tweet("so good")


def test_no_user_and_no_text_is_in_two_splits(prepared):
    users, texts = {}, Counter()
    for split in SPLITS:
        for message in read_messages(messages_file(prepared, split)):
            assert users.setdefault(message.user, split) == split
            texts["".join(fold_text(message.text).split())] += 1
    assert len(users) == 20 and set(texts.values()) == {1}


def test_the_embedded_data_have_all_there_is_to_learn(prepared):
    events = [event for split in SPLITS for event in samples(prepared, split)]
    assert {event.labels.task for event in events} == set(Task)
    assert {event.labels.next_layout for event in events} == set(Layout) == {event.layout for event in events}
    assert {event.language for event in events} == set(LANGUAGES)
    assert any(event.labels.clean for event in events) and any(event.switch for event in events)
    assert any(event.history for event in events)


def test_the_report_shows_screens_and_says_what_no_font_has(prepared, monkeypatch, tmp_path):
    assert (prepared / "contact_sheet.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = (prepared / "report.md").read_text("utf-8")
    assert "contact_sheet.png" in text and "repeats" in text and "DejaVuSans.ttf" in text
    plain = drawing.find_faces(())
    only = drawing.Faces([face for face in plain.faces if face.name == "DejaVuSans.ttf"])
    monkeypatch.setattr(drawing, "find_faces", lambda fonts: only)
    section = SimpleNamespace(data=data_section(source=str(prepared.parent / "raw"), missing_glyphs="refuse"))
    with pytest.raises(EquipoiseError, match="fonts-wqy-microhei") as caught:
        prepare(section, tmp_path / "prepared")
    assert (caught.value.code, caught.value.exit_code) == ("E_FONT", Exit.CONFIGURATION)
    assert not list(tmp_path.iterdir())


def test_one_process_or_two_and_twice_give_the_same_bytes(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "SHARD", 8)
    section = SimpleNamespace(data=data_section(source=str(prepared.parent / "raw"), processes=2))
    prepare(section, tmp_path / "two")
    for name in ("messages-train.jsonl.gz", "vocabulary.json", "contact_sheet.png", "report.json"):
        assert (tmp_path / "two" / name).read_bytes() == (prepared / name).read_bytes()
    assert sha256_tree(tmp_path / "two" / "train") == sha256_tree(prepared / "train")


def test_an_interrupted_drawing_goes_on_where_it_stopped(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "SHARD", 8)
    section = SimpleNamespace(data=data_section(source=str(prepared.parent / "raw")))
    whole, drawn = drawing.draw_shard, []

    def stopping(path, events, seed, fonts):
        if len(drawn) == 3:
            raise KeyboardInterrupt
        drawn.append(path.name)
        whole(path, events, seed, fonts)

    monkeypatch.setattr(drawing, "draw_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare(section, tmp_path / "prepared")
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == [".prepared.screens"]
    monkeypatch.setattr(drawing, "draw_shard", lambda path, *rest: (drawn.append(path.name), whole(path, *rest)))
    prepare(section, tmp_path / "prepared")
    assert len(drawn) == len(set(drawn)) > 3
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"]
    assert sha256_tree(tmp_path / "prepared" / "test") == sha256_tree(prepared / "test")


def test_a_changed_file_is_seen(prepared, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(prepared, copy)
    path = copy / "train" / "task.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x02")
    with pytest.raises(EquipoiseError) as caught:
        samples(copy, "train")
    assert caught.value.code == "E_MANIFEST"


def test_a_long_message_becomes_several_that_know_the_ones_before():
    message = Message("m", "u", "lines", "en", " ".join("abcdefghij"), ("hi",))
    parts = list(divided(message, 4))
    assert [part.text for part in parts] == ["a b c d", "e f g h", "i j"]
    assert [part.history for part in parts] == [("hi",), ("hi", "a b c d"), ("hi", "a b c d", "e f g h")]
    assert [part.id for part in parts] == ["m.0", "m.1", "m.2"] and list(divided(message, 10)) == [message]


def test_what_is_received_is_history_and_never_typed(tmp_path):
    lines = [
        message_line(user=user, conversation=f"{user}{talk}", text=text, sent=sent)
        for user in (f"u{i}" for i in range(40))
        for talk in "12"
        for text, sent in (
            (f"how are you {user} {talk}", False),
            (f"fine thanks {user} {talk}", True),
            ("\u200b", True),
        )
    ]
    write_lines(tmp_path / "raw", *lines)
    report = prepare(SimpleNamespace(data=data_section(source=str(tmp_path / "raw"))), tmp_path / "prepared")
    messages = [m for split in SPLITS for m in read_messages(messages_file(tmp_path / "prepared", split))]
    assert len(messages) == 80 and all(m.text.startswith("fine") and len(m.history) == 1 for m in messages)
    assert all(m.history[0].endswith(m.text.removeprefix("fine thanks ")) for m in messages)
    assert report["left_out"] == {"nothing to type": 80}
    assert all(event.conversation == event.user for m in messages for event in events_of(m))
