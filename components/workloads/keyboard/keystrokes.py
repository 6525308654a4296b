"""Messages typed again key by key: is the next word in the bar, and how many keys does picking it there save.

Every word is judged, not only the first behind a suggestion: the words of a suggestion's target are typed one after the
other, each behind the right text. A word of n letters takes n keys and a blank; picked after k letters it takes k + 1.
Only its letters and their order count, as in the published n-gram numbers; Chinese characters are judged unbegun.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from components.config_parts import EvaluationConfig
from components.evaluation import metrics as measures
from components.evaluation.statistics import Interval, ratios
from components.workload import Predictor
from components.workloads.keyboard.events import Event, Task
from components.workloads.keyboard.metrics import SHOWN
from components.workloads.keyboard.units import Kind, fold, needed_layouts, units

HEADS = ("top1", "top3", "keys_saved")


@dataclass(frozen=True)
class Word:
    """A word to type: the event before its first key, and the word, folded."""

    event: Event
    text: str

    @property
    def letters(self) -> bool:
        """Whether it is typed letter by letter; Chinese characters are not."""
        return self.event.language == "en"


def words_of(events: Sequence[Event], most: int, seed: int) -> list[Word]:
    """At most `most` words of each language from suggestions drawn without replacement, each place of a text once."""
    order = np.random.default_rng(seed).permutation(len(events))
    kept: list[Word] = []
    seen: set[tuple[str, str]] = set()
    left = {"en": most, "zh": most}
    for number in order.tolist():
        event = events[number]
        if not left.get(event.language):
            continue
        for word in _expanded(event):
            place = (event.id.rpartition("/")[0], word.event.before)
            if place not in seen and left[event.language]:
                seen.add(place)
                left[event.language] -= 1
                kept.append(word)
    return kept


def _expanded(event: Event) -> Iterator[Word]:
    """The words of a suggestion's target in English, the characters in Chinese; other units are stepped over."""
    if event.labels is None or event.labels.task is not Task.SUGGESTION:
        return
    target, wanted = event.labels.target, Kind.WORD if event.language == "en" else Kind.HAN
    found = units(target)
    layouts = [event.layout, *needed_layouts(found, event.language)]
    for unit, layout in zip(found, layouts, strict=False):
        if unit.kind is wanted:
            bare = replace(event, before=event.before + target[: unit.start], layout=layout, typed="", labels=None)
            yield Word(replace(bare, id=f"{event.id}+{unit.start}"), fold(unit))


def type_words(model: Predictor, words: Sequence[Word]) -> pl.DataFrame:
    """One row per word: id, conversation, language, word, its rank before the first key, keys with the bar's help and
    without. A Chinese character has no keys."""
    rank = np.full(len(words), -1)
    keys = np.array([len(word.text) + 1 for word in words])
    pending = list(range(len(words)))
    typed = 0
    while pending:
        asked = [replace(words[i].event, typed=words[i].text[:typed]) for i in pending]
        places = [answer.rank(words[i].text) for i, answer in zip(pending, model.predict(asked), strict=True)]
        for i, place in zip(pending, places, strict=True):
            rank[i] = place if typed == 0 else rank[i]
            keys[i] = typed + 1 if place < SHOWN else keys[i]
        typed += 1
        late = (i for i, place in zip(pending, places, strict=True) if place >= SHOWN)
        pending = [i for i in late if words[i].letters and typed < len(words[i].text)]
    return pl.DataFrame(
        {
            "id": [word.event.id for word in words],
            "conversation": [word.event.conversation for word in words],
            "language": [word.event.language for word in words],
            "word": [word.text for word in words],
            "rank": rank,
            "keys": [int(n) if word.letters else None for word, n in zip(words, keys, strict=True)],
            "keys_without": [len(word.text) + 1 if word.letters else None for word in words],
        },
        schema_overrides={"keys": pl.Int64, "keys_without": pl.Int64},
    )


def keystroke_metrics(frame: pl.DataFrame, settings: EvaluationConfig) -> dict[str, Interval]:
    """`language/top1`, `/top3`, `/keys_saved` -> (value, low, high), whole users being drawn."""
    found = {}
    for language, group in _languages(frame):
        clusters = group["conversation"].rank("dense").to_numpy()
        for head, parts in _parts(group).items():
            found[f"{language}/{head}"] = measures.interval_of(parts, clusters, ratios, settings)
    return found


def keystroke_differences(frame: pl.DataFrame, other: pl.DataFrame, settings: EvaluationConfig) -> dict[str, Interval]:
    """The same of frame minus other, on the same words and draws."""
    if frame["id"].to_list() != other["id"].to_list():
        raise ValueError("differences need the same words in the same order")
    found = {}
    for (language, mine), (_, theirs) in zip(_languages(frame), _languages(other), strict=True):
        clusters = mine["conversation"].rank("dense").to_numpy()
        left, right = _parts(mine), _parts(theirs)
        for head, parts in left.items():
            both = np.concatenate([parts, right[head]], axis=1)
            found[f"{language}/{head}"] = measures.interval_of(both, clusters, measures.minus(ratios, 2), settings)
    return found


def _languages(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    return [(str(name), group) for (name,), group in sorted(frame.group_by("language"), key=lambda each: str(each[0]))]


def _parts(frame: pl.DataFrame) -> Mapping[str, Any]:
    """Head -> [S, 2] numerator and denominator."""
    rank = frame["rank"].to_numpy()
    found = {
        "top1": measures.with_count((rank < 1).astype(np.float64)),
        "top3": measures.with_count((rank < SHOWN).astype(np.float64)),
    }
    if frame["keys"].null_count() == 0:
        keys, without = (frame[name].to_numpy().astype(np.float64) for name in ("keys", "keys_without"))
        found["keys_saved"] = np.stack([without - keys, without], axis=1)
    return found
