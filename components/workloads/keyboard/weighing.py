"""How much the counts should say beside the network: the shares under which what came is likeliest.

All that the mixture knows of a place is a few numbers (what each part gives the word that came, how often the user
wrote it), so that a weight is tried in a millisecond and none is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluation.metrics import class_parts, value_of
from components.evaluation.statistics import macro_f1
from components.workloads.keyboard.events import Event, Task
from components.workloads.keyboard.metrics import wanted
from components.workloads.keyboard.mixing import followers, outlook, pictured, stream
from components.workloads.keyboard.predict import KeyboardPredictor
from components.workloads.keyboard.units import Kind, folded

Own = tuple[float, float, float]
SHARES = tuple(i / 20 for i in range(21))
WEIGHTS = tuple(float(digit * 10**power) for power in range(5) for digit in (1, 3))
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
EMOJI_SHARES = tuple(i / 10 for i in range(11))
NEVER = 1e-7  # probability of a word that nobody knows
ROUNDS = 4  # over the weights, one after the other, at most


@dataclass(frozen=True, eq=False)
class Evidence:
    """What each part says of the words that came.

    Attributes:
        network, counted: [N] probability of the word.
        own: [N, 3, 2] how often the user wrote it behind the same none, one, two words, and any word there.
    """

    network: NDArray[np.float64]
    counted: NDArray[np.float64]
    own: NDArray[np.float64]

    def likelihood(self, counts: float, own: Own) -> float:
        """The mean natural logarithm of what the mixture gives the words."""
        mixed = (1 - counts) * self.network + counts * self.counted
        for length, weight in enumerate(own):
            said, total = self.own[:, length, 0], self.own[:, length, 1]
            mixed = (said + weight * mixed) / (total + weight)
        return float(np.log(np.maximum(mixed, NEVER)).mean())


def weigh(model: KeyboardPredictor, events: Sequence[Event], most: int) -> dict[str, Any]:
    """The numbers of `model.mixture` that these events would choose.

    Args:
        events: labelled; the suggestions among them are looked at, about `most` at most.

    Returns:
        {"counts", "own", "layout", "emoji_share", "emoji", "log_likelihood" of a word in nats}; {} where no word is
        suggested.
    """
    asked = [event for event in events if event.labels is not None and event.labels.task is Task.SUGGESTION]
    asked = asked[:: max(1, -(-len(asked) // most))]
    evidence = gathered(model, asked)
    if not len(evidence.network):
        return {}
    counts, own = likeliest(evidence)
    mixture = model.mixture.model_copy(update={"use": True, "counts": counts, "own": own})
    mixed = replace(model, mixture=mixture)
    return {
        "counts": counts,
        "own": list(own),
        "layout": best_layout(mixed, asked),
        **best_emoji(mixed, [event for event in events if before_emoji(event)][:most]),
        "log_likelihood": evidence.likelihood(counts, own),
    }


def gathered(model: KeyboardPredictor, events: Sequence[Event]) -> Evidence:
    """What each part says of the first word of every labelled event that has one."""
    rows: list[tuple[float, float, list[tuple[int, int]]]] = []
    for event, written in model.written(events):
        word = "" if event.labels is None else wanted(event.labels)[0]
        if not word:
            continue
        at = model.lexicon.place(word)
        piece = int(np.searchsorted(model.lexicon.written, at))
        known = at >= 0 and piece < len(written) and model.lexicon.written[piece] == at
        ngram = model.counts[event.language]
        number = ngram.number(word)
        counted = ngram.distribution(folded(event.before))[number] if number >= 0 else 0.0
        network = float(written[piece]) if known else 0.0
        said = stream(event)
        behind = [followers(said, length) for length in range(3)]
        rows.append((network, counted if ngram.words else network, [(each[word], each.total()) for each in behind]))
    network, counted, own = zip(*rows, strict=True) if rows else ((), (), ())
    return Evidence(np.array(network), np.array(counted), np.array(own, np.float64).reshape(-1, 3, 2))


def likeliest(evidence: Evidence) -> tuple[float, Own]:
    """The share of the counts and the weights of the user's words, tried in turn until nothing is gained."""
    chosen: list[float] = [0.5, WEIGHTS[-1], WEIGHTS[-1], WEIGHTS[-1]]

    def gain(place: int, value: float) -> float:
        tried = [*chosen[:place], value, *chosen[place + 1 :]]
        return evidence.likelihood(tried[0], (tried[1], tried[2], tried[3]))

    for _ in range(ROUNDS):
        before = list(chosen)
        for place in range(len(chosen)):
            chosen[place] = max(SHARES if place == 0 else WEIGHTS, key=lambda value: gain(place, value))
        if chosen == before:
            break
    return chosen[0], (chosen[1], chosen[2], chosen[3])


def best_layout(model: KeyboardPredictor, events: Sequence[Event]) -> float:
    """The share of the words in the next layout under which those that came are likeliest."""
    ends = [replace(model, mixture=model.mixture.model_copy(update={"layout": share})) for share in (0.0, 1.0)]
    came = [int(event.labels.next_layout) for event in events if event.labels is not None]
    head, words = (
        np.array([said.layout_probabilities[i] for said, i in zip(end.predict(events), came, strict=True)])
        for end in ends
    )
    return max(SHARES, key=lambda share: np.log(np.maximum((1 - share) * head + share * words, NEVER)).mean())


def before_emoji(event: Event) -> bool:
    """Whether a suggestion of an emoji is labelled."""
    labels = event.labels
    return labels is not None and labels.task is Task.SUGGESTION and wanted(labels)[1] is Kind.EMOJI


def best_emoji(model: KeyboardPredictor, events: Sequence[Event]) -> dict[str, float]:
    """The share of the signs and the power of how common an emoji is that give the best macro-F1; of equals those
    nearest to the network alone and to the bare probability."""
    came, words, signs = [], [], []
    for event, written in model.written(events):
        assert event.labels is not None
        came.append(wanted(event.labels)[0])
        words.append(outlook(written, event, model.lexicon, model.counts, model.mixture).emoji)
        signs.append(model.signed([event])[0])
    if not came:
        return {"emoji_share": 0.0, "emoji": 0.0}
    lexicon, classes = model.lexicon, sorted(set(came))
    times, parts = lexicon.times[lexicon.emoji], (np.array(words), np.array(signs))

    def gain(share: float, power: float) -> float:
        mixture = model.mixture.model_copy(update={"use": True, "emoji_share": share, "emoji": power})
        said = lexicon.emoji[pictured(*parts, times, mixture).argmax(axis=1)]
        return value_of(class_parts(came, [lexicon.words[at] for at in said], classes), macro_f1)

    shares = EMOJI_SHARES if parts[1].any() else EMOJI_SHARES[:1]
    share, power = max(product(shares, POWERS), key=lambda tried: (gain(*tried), -tried[0], -tried[1]))
    return {"emoji_share": share, "emoji": power}
