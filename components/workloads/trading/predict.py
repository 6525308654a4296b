"""A trained model that answers samples: scale the bars, think until sure, name a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from components.config_trading import TradingModel
from components.data.model_folder import read_card
from components.errors import bad_data
from components.workloads.trading.model import Sizes, TradeReasoningModule
from components.workloads.trading.records import Prediction, Sample
from components.workloads.trading.windows import SCALER, STRATEGIES, Reading, read_reading, read_strategies, windows_of

CHUNK = 512  # samples answered at a time: memory stays flat however many are asked


@dataclass(frozen=True)
class TradePredictor:
    """The model with all it needs to read raw samples; `strategies` are their names in the order of the logits."""

    model: TradeReasoningModule
    reading: Reading
    strategies: tuple[str, ...]

    def predict(self, samples: Sequence[Sample], given: Sequence[Any] | None = None) -> list[Prediction]:
        """One prediction per sample; `given` means nothing here.

        Raises:
            EquipoiseError: E_DATA (65) for a sample without a symbol, a series or enough bars.
        """
        return [answer for low in range(0, len(samples), CHUNK) for answer in self._predict(samples[low : low + CHUNK])]

    def _predict(self, samples: Sequence[Sample]) -> list[Prediction]:
        features = torch.from_numpy(windows_of(samples, self.reading))
        device = self.model.question.device
        outputs, steps = self.model.infer(features.to(device), self.model.settings.halt_threshold)
        probabilities = outputs["task_logits"].softmax(-1).double().cpu()
        halting = outputs["halt_logits"].sigmoid().tolist()
        return [
            Prediction(
                strategy=choice,
                name=self.strategies[choice],
                confidence=row[choice],
                probabilities=tuple(row),
                steps=taken,
                halt_confidence=sure,
            )
            for row, choice, taken, sure in zip(
                probabilities.tolist(), probabilities.argmax(-1).tolist(), steps.tolist(), halting, strict=True
            )
        ]


def load(folder: Path) -> TradePredictor:
    """The predictor of a trained model's folder.

    Raises:
        EquipoiseError: E_MISSING (66) without a file, E_DATA (65) when the description is not one of a model, E_MODEL
            (65) when a file is not the one that was trained.
    """
    card = read_card(folder, ("model.safetensors", SCALER, STRATEGIES))
    try:
        settings = TradingModel.model_validate(card["section"]["model"])
    except (ValueError, KeyError, TypeError) as error:
        raise bad_data(
            str(folder / "model.json"), "must describe a model", got=str(error), hint="Train the model again"
        ) from error
    reading, strategies = read_reading(folder), read_strategies(folder)
    model = TradeReasoningModule(settings, Sizes(len(reading.means), len(strategies)))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    return TradePredictor(model, reading, strategies)


def of_model(model: TradeReasoningModule, prepared: Path) -> TradePredictor:
    """The predictor of a model in memory, for the data it is trained on."""
    return TradePredictor(model, read_reading(prepared), read_strategies(prepared))
