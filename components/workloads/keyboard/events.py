"""What a sample of the keyboard workload is, whichever source it came from: readers, generator, screens, model, metrics
and the served model speak in these records. No torch: prepare and the readers never import it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

LANGUAGES = ("en", "zh")
"""In the order of their numbers in arrays; language l's own layout is Layout(l)."""

REGIONS = ("input_field", "chat_bubble", "keyboard", "title_bar")
"""The regions of a screen, in the order of their boxes."""

SUGGESTED = 5  # pieces of a target, and words a suggestion looks ahead
HEIGHT, WIDTH = 96, 64  # of a screen, in pixels
TYPED_BYTES = 24  # of the word being typed, in UTF-8, that a model sees


class Task(IntEnum):
    """What a key press asks for; pseudo-labels from what the user did next."""

    ERROR = 0  # backspace: the word is wrong
    COMPLETION = 1  # the user went on typing it
    SUGGESTION = 2  # a word that was not begun was accepted


class Layout(IntEnum):
    """A layout of the keyboard, and the expert of that name."""

    EN = 0
    ZH = 1
    SYM = 2
    EMOJI = 3
    NUM = 4


@dataclass(frozen=True)
class Labels:
    """What happened at an event.

    Attributes:
        task: what the user did next.
        next_layout: the layout that the target's first character needs.
        target: the right word, or for a suggestion up to the next SUGGESTED words; "" where nothing may be suggested.
        target_language: EN or ZH by the script of the target's first character; None for symbols, digits and emoji.
        clean: the typed word is whole and right: a correction would be false.
    """

    task: Task
    next_layout: Layout
    target: str
    target_language: Layout | None
    clean: bool = False


@dataclass(frozen=True)
class Event:
    """One moment of typing, and (outside serving) what happened then.

    Attributes:
        id: unique in its data set.
        user: who types; splits hold out whole users. "" where unknown.
        conversation: what stands or falls together in the gate: the user, or the message where the user is unknown.
        source: where the text is from, such as "nus_en" or "embedded".
        language: one of LANGUAGES: the message's, and its user's own layout.
        history: earlier messages of the conversation, oldest first; may be empty.
        before: the text of the message left of the word being typed.
        typed: what is typed of that word: "" for a suggestion, a beginning (whole where `clean`) for a completion, the
            wrong word for an error.
        layout: the keyboard that is shown.
        labels: None in a request.
        screen: [HEIGHT, WIDTH] uint8, what is shown, grey; None where nothing was drawn or given.
        boxes: [4, 4] float32, REGIONS of the screen as x0, y0, x1, y1 in shares of its size; None where unknown.
    """

    id: str
    user: str
    conversation: str
    source: str
    language: str
    history: tuple[str, ...]
    before: str
    typed: str
    layout: Layout
    labels: Labels | None = None
    screen: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    boxes: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @property
    def switch(self) -> bool:
        """Whether the next layout is another one; False in a request."""
        return self.labels is not None and self.labels.next_layout != self.layout
