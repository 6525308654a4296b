"""A few messages with events and screens, as prepare leaves them in memory, for tests of batches, model and losses."""

from __future__ import annotations

import numpy as np

from components.config_keyboard_model import KeyboardModel
from components.workloads.keyboard.batches import Split
from components.workloads.keyboard.events import TYPED_BYTES

VOCABULARY = 12
SETTINGS = {
    "width": 16,
    "layers": 1,
    "bag_width": 4,
    "bag_pairs": 32,
    "typed_width": 8,
    "screen_width": 8,
    "features": 8,
    "expert_width": 8,
    "experts_used": 5,
    "correct_above": 0.5,
    "image": True,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "screen_dropout": 0.0,
    "mixture": {"use": True, "counts": 0.4, "own": [500, 10, 4], "layout": 0.4, "emoji": 0.0},
}


def sizes(**changes) -> KeyboardModel:
    """A tiny model's settings."""
    return KeyboardModel.model_validate(SETTINGS | changes)


def small_split() -> Split:
    """Three messages of 4, 6 and 3 pieces; the second has no event. Five events, three with one of two screens."""
    typed = np.zeros((5, TYPED_BYTES), np.uint16)
    typed[1, :2] = [ord("h") + 1, ord("e") + 1]
    targets = np.full((5, 5), -1, np.int32)
    targets[0, :3], targets[1, 0], targets[3, :2] = [5, 6, 7], 6, [9, 10]
    generate = np.random.default_rng(3)
    events = {
        "event_row": np.array([0, 0, 0, 2, 2], np.int32),
        "event_position": np.array([0, 1, 3, 0, 2], np.int32),
        "event_word": targets,
        "event_screen": np.array([1, -1, 0, 1, -1], np.int32),
        "typed": typed,
        "layout": np.array([0, 0, 0, 1, 4], np.uint8),
        "task": np.array([2, 1, 2, 2, 0], np.uint8),
        "next_layout": np.array([0, 0, 2, 1, 4], np.uint8),
        "target_lang": np.array([0, 0, -1, 1, -1], np.int8),
    }
    boxes = np.array([[[0.0, 0.4, 1.0, 0.5], [0.0, 0.1, 0.7, 0.4], [0.0, 0.5, 1.0, 1.0], [0.0, 0.0, 1.0, 0.1]]] * 2)
    return Split(
        tokens=np.array([1, 5, 6, 7, 1, 8, 9, 2, 5, 6, 1, 9, 10], np.int32),
        row_offsets=np.array([0, 4, 10, 13]),
        events=events,
        event_offsets=np.array([0, 3, 3, 5]),
        screens=generate.integers(0, 256, (2, 96, 64), np.uint8),
        boxes=boxes.astype(np.float32),
    )
