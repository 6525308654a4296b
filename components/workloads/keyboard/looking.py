"""What a model's eyes are worth: does a screen find its text, and what is lost with the screen turned off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config_parts import EvaluationConfig
from components.evaluation import metrics as measures
from components.evaluation.statistics import Interval, documents, ratios
from components.workloads.keyboard.events import Event
from components.workloads.keyboard.metrics import differences, score
from components.workloads.keyboard.predict import KeyboardPredictor

GROUP = 64  # screens among which each must find its text


@dataclass(frozen=True)
class Retrieval:
    """Of each screen, is the nearest text its own: shares with interval both ways, and chance."""

    to_text: Interval
    to_screen: Interval
    chance: float
    events: int

    def document(self) -> dict[str, Any]:
        return {
            **documents({"to_text": self.to_text, "to_screen": self.to_screen}),
            "chance": self.chance,
            "events": self.events,
        }


def one_a_message(events: Sequence[Event]) -> list[Event]:
    """The first event with a screen of each message: two moments of one message look alike and are no fair choice."""
    found: dict[str, Event] = {}
    for event in events:
        if event.screen is not None:
            found.setdefault(event.id.rpartition("/")[0], event)
    return list(found.values())


def nearest_own(left: NDArray[np.floating], right: NDArray[np.floating], group: int) -> NDArray[np.float64]:
    """[S] 1 where the nearest `right` within the group is the own one; of equals the first counts.

    Args:
        left, right: [S, F] of unit length, S a multiple of the group.
    """
    hits = []
    for start in range(0, len(left), group):
        near = left[start : start + group] @ right[start : start + group].T
        hits.append(near.argmax(axis=1) == np.arange(len(near)))
    return np.concatenate(hits).astype(np.float64)


def retrieve(model: KeyboardPredictor, events: Sequence[Event], settings: EvaluationConfig) -> Retrieval | None:
    """Screens and texts of groups of GROUP messages, drawn by the seed; None from a model that sees no screens, or with
    fewer than two of them."""
    chosen = one_a_message(events)
    group = min(GROUP, len(chosen))
    if group < 2:
        return None
    order = np.random.default_rng(settings.seed).permutation(len(chosen))[: len(chosen) // group * group]
    chosen = [chosen[i] for i in order.tolist()]
    found = model.features(chosen)
    if found is None:
        return None
    clusters = np.array([event.conversation for event in chosen])
    ways = [
        measures.interval_of(measures.with_count(nearest_own(left, right, group)), clusters, ratios, settings)
        for left, right in (found, found[::-1])
    ]
    return Retrieval(ways[0], ways[1], 1 / group, len(chosen))


def without_screens(
    model: KeyboardPredictor, events: Sequence[Event], settings: EvaluationConfig, split: str
) -> dict[str, Interval]:
    """`split/head/metric` -> the model that sees less the model that does not, on the events that have a screen."""
    shown = [event for event in events if event.screen is not None]
    if model.model.screen is None or not shown:
        return {}
    blind = [replace(event, screen=None, boxes=None) for event in shown]
    frames = [score(shown, model.predict(asked)) for asked in (shown, blind)]
    return differences(frames[0], frames[1], settings, split)
