"""What a model of the keyboard answers."""

from __future__ import annotations

from dataclasses import dataclass

from components.workloads.keyboard.events import Layout, Task

MOST = 10  # candidates in an answer
Ranked = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Prediction:
    """What a keyboard would show.

    Attributes:
        candidates: at most MOST words, likeliest first, each with its probability; case folded, whole words or
            characters. Behind a typed beginning they start with it, or, where `task` is ERROR, they correct it.
        corrections: the same for what is typed taken as a slip, whether or not it was; () where nothing is typed.
        emoji: at most MOST emoji, likeliest first; probabilities are among emoji.
        task: what is asked for.
        task_probabilities: [3] by number of task.
        layout: the keyboard to show next.
        layout_probabilities: [5] by number of layout.
        experts: [5] how much each expert had a say; None where there are no experts.
    """

    candidates: Ranked
    corrections: Ranked
    emoji: Ranked
    task: Task
    task_probabilities: tuple[float, ...]
    layout: Layout
    layout_probabilities: tuple[float, ...]
    experts: tuple[float, ...] | None = None

    @property
    def first(self) -> str:
        """The likeliest candidate; "" where there is none."""
        return self.candidates[0][0] if self.candidates else ""

    def rank(self, word: str) -> int:
        """The place of a word among the candidates, from 0; MOST where it is not among them."""
        return rank(self.candidates, word)


def rank(ranked: Ranked, word: str) -> int:
    """The place of a word, from 0; MOST where it is not there."""
    return next((place for place, (text, _) in enumerate(ranked) if text == word), MOST)
