"""A trained model that answers samples: retrieve the most similar known test, read, write, spell out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from components.data.buckets import in_order, spread
from components.data.model_folder import read_card
from components.errors import bad_data
from components.workloads.assertions.answers import Prediction
from components.workloads.assertions.decode import Leaning, Text, write
from components.workloads.assertions.encode import PAD, Source
from components.workloads.assertions.grammar import Grammar, grammar_of
from components.workloads.assertions.kind_signs import signs
from components.workloads.assertions.model import AssertionWriter, inference_parameters
from components.workloads.assertions.pairs import Pair
from components.workloads.assertions.reading import NEEDED, Reading, load_reading
from components.workloads.assertions.teaching import load_writer

CHUNK = 512  # samples read at a time: memory stays flat however many are asked


@dataclass(frozen=True)
class AssertionPredictor:
    """The model with all it needs to read raw samples; `batch_tokens` bounds what is computed at once, `beams`
    are the hypotheses kept in the search."""

    model: AssertionWriter
    reading: Reading
    grammar: Grammar
    batch_tokens: int
    beams: int

    def predict(self, samples: Sequence[Pair], given: Sequence[Any] | None = None) -> list[Prediction]:
        """One prediction per sample; `given` means nothing here, and labels are not looked at."""
        answers: list[Prediction] = []
        for low in range(0, len(samples), CHUNK):
            chunk = samples[low : low + CHUNK]
            answers += self._write(self.reading.sources(chunk), self._odds(chunk))
        return answers

    @property
    def parameters(self) -> int:
        """Numbers that answering needs, those of the kinds' odds among them."""
        odds = self.reading.odds
        return inference_parameters(self.model) + (odds.size if odds is not None else 0)

    def _odds(self, samples: Sequence[Pair]) -> NDArray[np.float32] | None:
        """[S, K] shares of the kinds, where the model listens to them."""
        if self.reading.odds is None or not self.model.settings.kind_share:
            return None
        return self.reading.odds.shares(map(signs, samples))

    def _write(self, read: Sequence[Source], odds: NDArray[np.float32] | None) -> list[Prediction]:
        settings = self.model.settings
        device = self.model.tokens.weight.device
        lengths = np.array([len(source.ids) for source in read])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids, segments = (np.concatenate([getattr(source, name) for source in read]) for name in ("ids", "segments"))
        answers: list[Prediction] = [Prediction("", 0.0)] * len(read)
        budget = max(self.batch_tokens // self.beams, int(lengths.max()))
        for chosen in in_order(lengths, budget):
            at, present = spread(offsets, chosen)
            batch = (torch.from_numpy(np.where(present, flat[at], PAD).astype(np.int64)) for flat in (ids, segments))
            source, parts = (tensor.to(device) for tensor in batch)
            leaning = None if odds is None else Leaning(odds[chosen].tolist(), settings.kind_share)
            found = write(self.model, source, parts, self.grammar, self.beams, settings.max_tokens, leaning)
            for sample, texts in zip(chosen.tolist(), found, strict=True):
                answers[sample] = self._spell(texts)
        return answers

    def _spell(self, texts: Sequence[Text]) -> Prediction:
        best, *others = (self.reading.codec.decode(text.pieces) for text in texts)
        return Prediction(
            assertion=best,
            confidence=min(1.0, math.exp(texts[0].log_probability)),
            pieces=len(texts[0].pieces),
            alternatives=tuple(dict.fromkeys(text for text in others if text != best)),
        )


def load(folder: Path) -> AssertionPredictor:
    """The predictor of a trained model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) when the description is not one of a model, E_MODEL
            (65) when a file is not the one that was trained.
    """
    card = read_card(folder, ("model.safetensors", *NEEDED))
    try:
        batch_tokens = int(card["section"]["training"]["batch_tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise bad_data(
            str(folder / "model.json"), "must describe a model", got=str(error), hint="Train the model again"
        ) from error
    return _predictor(load_writer(folder), folder, batch_tokens)


def of_model(model: AssertionWriter, section: Any, prepared: Path, beams: int | None = None) -> AssertionPredictor:
    """The predictor of a model in memory, for the data it is trained on; `beams` None: as its settings say."""
    return _predictor(model, prepared, section.training.batch_tokens, beams)


def _predictor(model: AssertionWriter, folder: Path, batch_tokens: int, beams: int | None = None) -> AssertionPredictor:
    reading = load_reading(folder)
    return AssertionPredictor(model, reading, grammar_of(reading.codec), batch_tokens, beams or model.settings.beams)
