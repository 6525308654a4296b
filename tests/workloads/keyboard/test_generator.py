"""The embedded users: the same from the same seed, answers that take up questions, layouts that switch."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from components.workloads.keyboard.generator import FILE, of_user, write_messages
from components.workloads.keyboard.generator_phrases import EXCHANGES, MOODS, NUMBERS, SLOTS
from components.workloads.keyboard.lines import read_files
from components.workloads.keyboard.units import Kind, units


def written(folder: Path, seed: int = 5) -> list[dict]:
    write_messages(seed, 24, 1200, folder)
    return [json.loads(line) for line in (folder / FILE).read_text("utf-8").splitlines()]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    assert written(tmp_path / "a") == written(tmp_path / "b") != written(tmp_path / "c", seed=6)
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()


def test_users_send_about_equally_much(tmp_path):
    sent = Counter(line["user"] for line in written(tmp_path) if line["sent"])
    assert len(sent) == 24 and min(sent.values()) >= 50 and max(sent.values()) < 56


def test_the_reader_reads_all_that_was_sent(tmp_path):
    lines = written(tmp_path)
    left_out = Counter()
    found = list(read_files(tmp_path, left_out))
    assert [message.text for message in found] == [line["text"] for line in lines if line["sent"]] and not left_out
    assert any(message.history for message in found)


# what was asked about stands in the answer more often than something else of its kind does
def test_answers_take_up_questions():
    said = list(of_user(5, 1, 400))
    foods = SLOTS[said[0]["language"]]["food"]
    asked = [(a["text"], b["text"]) for a, b in zip(said[::2], said[1::2], strict=True)]
    both = [({f for f in foods if f in a}, {f for f in foods if f in b}) for a, b in asked]
    kept = [bool(a & b) for a, b in both if a and b]
    assert len(kept) > 10 and sum(kept) / len(kept) > 0.5


def test_users_have_favourites():
    shares = []
    for number in range(6):
        mine = [line["text"] for line in of_user(5, number, 300) if line["sent"]]
        foods = SLOTS["en"]["food"] + SLOTS["zh"]["food"]
        counts = Counter(food for text in mine for food in foods if food in text)
        shares.append(sum(n for _, n in counts.most_common(4)) / counts.total())
    assert sum(shares) / len(shares) > 0.65


def test_every_kind_of_unit_is_typed(tmp_path):
    kinds = Counter(unit.kind for line in written(tmp_path) if line["sent"] for unit in units(line["text"]))
    assert set(kinds) == {Kind.WORD, Kind.HAN, Kind.DIGIT, Kind.EMOJI, Kind.MARK}
    assert all(n > 150 for n in kinds.values())


def test_phrases_fill_only_what_there_is():
    for language, exchanges in EXCHANGES.items():
        for topic, question, answers in exchanges:
            assert topic in MOODS
            for text in (question, *answers):
                slots = {part.split("}")[0].rstrip("2") for part in text.split("{")[1:]}
                assert slots <= {"mood", *NUMBERS, *SLOTS[language]}
