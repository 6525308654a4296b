"""A trained model that answers events: read the text, see the screen, decide, rank the words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from components.config_keyboard_model import KeyboardMixture, KeyboardModel
from components.data.buckets import in_order
from components.data.model_folder import read_card
from components.errors import bad_data
from components.modules.experts import routed
from components.workloads.keyboard.answers import Prediction
from components.workloads.keyboard.confusions import load_meant
from components.workloads.keyboard.counts import FILES, load_counts
from components.workloads.keyboard.emoji_odds import EmojiOdds, load_emoji_odds
from components.workloads.keyboard.encode import PAD, VOCABULARY, Codec, load_codec
from components.workloads.keyboard.events import Event, Layout, Task
from components.workloads.keyboard.lexicon import Lexicon, best, lexicon_of
from components.workloads.keyboard.mixing import outlook, pictured
from components.workloads.keyboard.model import Keyboard, Seen
from components.workloads.keyboard.ngram import Ngram
from components.workloads.keyboard.rows import Limits, request_row, typed_bytes
from components.workloads.keyboard.screens import default_boxes
from components.workloads.keyboard.units import fold_text

EDIT = 6.0  # nats that an edit away from what is typed costs a correction
UNHEARD = 1e-6  # probability of a word that no piece writes whole
EVENTS = 512  # whose words are ranked at a time
CHUNK = 8192  # events read at a time: memory stays flat however many are asked


@dataclass
class Row:
    """Pieces of one message with its history, and the events in it: index of the sample, position of its cursor."""

    tokens: NDArray[np.int32]
    events: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class KeyboardPredictor:
    """The model with all it needs to read raw events.

    Attributes:
        counts: by language.
        signs: what the signs of a text say of the emoji behind it; None without.
        batch_tokens: bounds what is computed at once.
        mixture: how much the counts and the signs say.
    """

    model: Keyboard
    codec: Codec
    lexicon: Lexicon
    counts: Mapping[str, Ngram]
    signs: EmojiOdds | None
    limits: Limits
    batch_tokens: int
    mixture: KeyboardMixture

    def predict(self, samples: Sequence[Event], given: Sequence[Any] | None = None) -> list[Prediction]:
        """One prediction per event; `given` means nothing here, and labels are not looked at."""
        answers: list[Prediction | None] = [None] * len(samples)
        for chosen, states in self._states(samples):
            events = [samples[i] for i in chosen]
            for i, answer in zip(chosen, self._answers(events, states), strict=True):
                answers[i] = answer
        return [answer for answer in answers if answer is not None]

    def features(self, samples: Sequence[Event]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """[S, F] of the screens and [S, F] of the texts, of unit length, of events that all have a screen; None from a
        model that sees none."""
        if self.model.screen is None or not samples:
            return None
        width = self.model.settings.features
        screens, texts = (np.zeros((len(samples), width), np.float32) for _ in range(2))
        for chosen, states in self._states(samples):
            events = [samples[i] for i in chosen]
            with torch.inference_mode():
                seen, index = self._see(events)
                decided = self._decide(events, states, seen, index)
                if seen is None:
                    return None
                screens[chosen] = functional.normalize(seen.whole[index], dim=-1).cpu().numpy()
                texts[chosen] = functional.normalize(decided["text_feature"], dim=-1).cpu().numpy()
        return screens, texts

    def _states(self, samples: Sequence[Event]) -> Iterator[tuple[list[int], Tensor]]:
        """At most EVENTS indices of samples at a time, and the text's states [N, D] at their cursors."""
        device = self.model.bias.device
        for low in range(0, len(samples), CHUNK):
            rows = self._rows(samples[low : low + CHUNK], low)
            lengths = np.array([len(row.tokens) for row in rows])
            for group in in_order(lengths, max(self.batch_tokens, int(lengths.max()))):
                tokens = torch.full((len(group), int(lengths[group].max())), PAD, dtype=torch.int64)
                events: list[tuple[int, int, int]] = []
                for at, number in enumerate(group.tolist()):
                    row = rows[number]
                    tokens[at, : len(row.tokens)] = torch.from_numpy(row.tokens.astype(np.int64))
                    events += [(sample, at, position) for sample, position in row.events]
                with torch.inference_mode():
                    states = self.model.read(tokens.to(device))
                for start in range(0, len(events), EVENTS):
                    chosen, where, position = zip(*events[start : start + EVENTS], strict=True)
                    yield list(chosen), states[list(where), list(position)]

    def written(self, samples: Sequence[Event]) -> Iterator[tuple[Event, NDArray[np.float64]]]:
        """Each event, in some order, with the network's probabilities [P] of the lexicon's `written` words."""
        for chosen, states in self._states(samples):
            events = [samples[i] for i in chosen]
            with torch.inference_mode():
                yield from zip(
                    events, self._written(self._decide(events, states, *self._see(events)), states), strict=True
                )

    def signed(self, events: Sequence[Event]) -> NDArray[np.float64]:
        """[S, E] what the signs of each text say of the lexicon's emoji; all 0 without a model of them."""
        found = np.zeros((len(events), len(self.lexicon.emoji)))
        if self.signs is not None:
            known, columns = self.lexicon.emoji_columns(self.signs.emoji)
            found[:, columns] = self.signs.shares(events)[:, known]
        return found

    def _rows(self, samples: Sequence[Event], first: int) -> list[Row]:
        """Events whose text is a beginning of another's share its row: the text model is causal."""
        rows: list[Row] = []
        latest: dict[tuple[str, ...], Row] = {}
        for number, event in enumerate(samples, start=first):
            tokens = request_row(self.codec, event, self.limits)
            row = latest.get(event.history)
            shared = min(len(tokens), len(row.tokens)) if row else 0
            if row is None or not np.array_equal(tokens[:shared], row.tokens[:shared]):
                row = latest[event.history] = Row(tokens)
                rows.append(row)
            elif len(tokens) > shared:
                row.tokens = tokens
            row.events.append((number, len(tokens) - 1))
        return rows

    def _see(self, events: Sequence[Event]) -> tuple[Seen | None, Tensor]:
        """What the screens of those that have one say, and the index [N] of each event's, -1 without."""
        device = self.model.bias.device
        shown = [event for event in events if event.screen is not None] if self.model.screen is not None else []
        index = torch.full((len(events),), -1, dtype=torch.int64)
        if not shown:
            return None, index.to(device)
        index[[event.screen is not None for event in events]] = torch.arange(len(shown))
        screens = torch.from_numpy(np.stack([np.asarray(event.screen, np.uint8) for event in shown]))
        boxes = np.stack([default_boxes() if event.boxes is None else event.boxes for event in shown])
        seen = self.model.see(screens.to(device), torch.from_numpy(boxes.astype(np.float32)).to(device))
        return seen, index.to(device)

    def _decide(self, events: Sequence[Event], states: Tensor, seen: Seen | None, index: Tensor) -> dict[str, Tensor]:
        typed = np.stack([typed_bytes(event.typed) for event in events]).astype(np.int64)
        layout = torch.tensor([int(event.layout) for event in events])
        return self.model.decide(
            states, torch.from_numpy(typed).to(states.device), layout.to(states.device), seen, index
        )

    def _written(self, decided: Mapping[str, Tensor], states: Tensor) -> NDArray[np.float64]:
        """[S, P] the softmax over what a piece writes whole."""
        written = self.model.write(states, decided["context"], decided["gate_logits"])
        words = (written @ self.model.table().T)[:, torch.from_numpy(self.lexicon.pieces).to(states.device)]
        return words.float().softmax(-1).double().cpu().numpy()

    def _answers(self, events: Sequence[Event], states: Tensor) -> list[Prediction]:
        with torch.inference_mode():
            decided = self._decide(events, states, *self._see(events))
            shares = self._written(decided, states)
            tasks, layouts = (decided[f"{name}_logits"].float().softmax(-1).tolist() for name in ("task", "layout"))
            experts = routed(decided["gate_logits"].float(), self.model.settings.experts_used).tolist()
        parts = zip(events, shares, self.signed(events), tasks, layouts, experts, strict=True)
        return [self._answer(event, *said) for event, *said in parts]

    def _answer(
        self,
        event: Event,
        written: NDArray[np.float64],
        signed: NDArray[np.float64],
        tasks: Sequence[float],
        layouts: Sequence[float],
        experts: Sequence[float],
    ) -> Prediction:
        typed = fold_text(event.typed)
        words = outlook(written, event, self.lexicon, self.counts, self.mixture)
        places, (near, edits) = words.begun(typed, event.layout), words.near(typed)
        shares, pictures = words.shares, self.lexicon.emoji
        slips = shares[near] * np.exp(-EDIT * edits)
        tasks = _weighed(tasks, float(slips.sum()), float(shares[places].sum())) if typed else tasks
        wrong = bool(typed) and tasks[Task.ERROR] > self.model.settings.correct_above
        if typed and not len(near):  # nothing is near: any other word
            near = self.lexicon.begun("", Layout.EN)
            slips = np.where(near == self.lexicon.place(typed), 0.0, shares[near])
        if not typed and self.mixture.use:
            share = self.mixture.layout
            layouts = ((1 - share) * np.array(layouts) + share * words.typed_on(event)).tolist()
        corrections = best(words, near, slips)
        return Prediction(
            candidates=corrections if wrong else best(words, places, shares[places]),
            corrections=corrections,
            emoji=best(words, pictures, pictured(words.emoji, signed, self.lexicon.times[pictures], self.mixture)),
            task=Task.ERROR if wrong else Task.COMPLETION if typed else Task.SUGGESTION,
            task_probabilities=tuple(tasks),
            layout=Layout(int(np.argmax(layouts))),
            layout_probabilities=tuple(layouts),
            experts=tuple(experts),
        )


def _weighed(tasks: Sequence[float], slips: float, meant: float) -> list[float]:
    """The router's chances of an error and of a completion, weighed by what the words say: with no word near what is
    typed there is nothing to put in its place, and so no error.

    Args:
        tasks: [3] of the router.
        slips: probability of all words near what is typed, each times what its edits cost.
        meant: probability of all words that begin as typed.
    """
    error, completion = tasks[Task.ERROR] * slips, tasks[Task.COMPLETION] * (meant + UNHEARD)
    share = (tasks[Task.ERROR] + tasks[Task.COMPLETION]) / max(error + completion, 1e-30)
    return [error * share, completion * share, tasks[Task.SUGGESTION]]


def load(folder: Path) -> KeyboardPredictor:
    """The predictor of a trained model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) when the description is not one of a model, E_MODEL
            (65) when a file is not the one that was trained.
    """
    card = read_card(folder, ("model.safetensors", VOCABULARY, *FILES))
    try:
        settings = KeyboardModel.model_validate(card["section"]["model"])
        data, training = card["section"]["data"], card["section"]["training"]
        limits = Limits(int(data["history_messages"]), int(data["history_tokens"]))
        batch_tokens = int(training["batch_tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise bad_data(
            str(folder / "model.json"), "must describe a model", got=str(error), hint="Train the model again"
        ) from error
    codec = load_codec(folder)
    model = Keyboard(settings, codec.size)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    counts, signs = load_counts(folder), load_emoji_odds(folder)
    lexicon = lexicon_of(codec, counts, load_meant(folder))
    return KeyboardPredictor(model, codec, lexicon, counts, signs, limits, batch_tokens, settings.mixture)


def of_model(model: Keyboard, section: Any, prepared: Path) -> KeyboardPredictor:
    """The predictor of a model in memory, for the data it is trained on."""
    known = _known(str(prepared.resolve()), (prepared / VOCABULARY).stat().st_mtime_ns)
    limits = Limits(section.data.history_messages, section.data.history_tokens)
    return KeyboardPredictor(model, *known, limits, section.training.batch_tokens, model.settings.mixture)


@lru_cache(maxsize=1)
def _known(prepared: str, _changed: int) -> tuple[Codec, Lexicon, Mapping[str, Ngram], EmojiOdds | None]:
    """What every validation of a training reads."""
    folder = Path(prepared)
    codec, counts = load_codec(folder), load_counts(folder)
    return codec, lexicon_of(codec, counts, load_meant(folder)), counts, load_emoji_odds(folder)
