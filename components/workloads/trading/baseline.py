"""The cheap baselines: always one mix, momentum, softmax regression; and the strongest of them as a servable folder.

The first champion is the static mix that earned most in training, unless softmax regression beat it in the walk-forward
by more than chance: a rule that has shown nothing must not serve.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from components.config_trading import TradingConfig
from components.data.arrays import open_array
from components.data.manifest import published
from components.data.model_folder import CARD, read_card
from components.errors import bad_data
from components.evaluation import metrics as measures
from components.files import sha256_file, write_json, write_text
from components.workloads.trading.folds import Fold, walk_forward
from components.workloads.trading.records import Prediction, Sample
from components.workloads.trading.strategies import weight_matrix
from components.workloads.trading.windows import (
    SCALER,
    STRATEGIES,
    Reading,
    read_reading,
    read_strategies,
    windows_of,
)

FORMAT = 1
WEIGHTS = "weights.safetensors"
PASSES = 500  # of the solver at most
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Always:
    """One strategy whatever the day; `shares` [K] of the training labels are its probabilities."""

    strategy: int
    names: tuple[str, ...]
    shares: Floats

    def predict(self, samples: Sequence[Sample], given: Sequence[Any] | None = None) -> list[Prediction]:
        return [_prediction(self.strategy, self.names, self.shares) for _ in samples]


@dataclass(frozen=True)
class Momentum:
    """The strategy that would have earned most over the last `days` days (or as many as the sample holds)."""

    days: int
    names: tuple[str, ...]
    symbols: tuple[str, ...]
    weights: Floats  # [K, N]

    def predict(self, samples: Sequence[Sample], given: Sequence[Any] | None = None) -> list[Prediction]:
        certain = np.eye(len(self.names))
        return [_prediction(chosen, self.names, certain[chosen]) for chosen in map(self._choose, samples)]

    def _choose(self, sample: Sample) -> int:
        columns = [sample.panel.symbols.index(symbol) for symbol in self.symbols]
        close = sample.panel.close[-self.days - 1 :, columns]
        return int(momentum(close, np.array([len(close) - 1]), self.weights, self.days)[0])


@dataclass(frozen=True)
class Regression:
    """Softmax regression: probabilities softmax(x @ weights + bias) of `classes`, 0 of all other strategies."""

    classes: Whole  # [C] indices of strategies
    weights: NDArray[np.float64]  # [F, C]
    bias: Floats  # [C]

    def probabilities(self, features: NDArray[np.floating], strategies: int) -> Floats:
        """[S, F] -> [S, strategies]."""
        logits = np.asarray(features, np.float64) @ self.weights + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        found = np.zeros((len(features), strategies))
        found[:, self.classes] = powers / powers.sum(axis=1, keepdims=True)
        return found


@dataclass(frozen=True)
class Softmax:
    """Softmax regression that reads raw samples, the last bar's features of each."""

    regression: Regression
    reading: Reading
    names: tuple[str, ...]

    def predict(self, samples: Sequence[Sample], given: Sequence[Any] | None = None) -> list[Prediction]:
        """Raises: EquipoiseError: E_DATA (65) for a sample without a symbol, a series or enough bars."""
        if not samples:
            return []
        features = windows_of(samples, self.reading, 1)[:, 0]
        chances = self.regression.probabilities(features, len(self.names))
        return [_prediction(int(row.argmax()), self.names, row) for row in chances]


@dataclass(frozen=True)
class Training:
    """What the baselines learn from: rows of train and validation stacked, rising in time."""

    features: NDArray[np.float32]  # [S, F]
    days: Whole  # [S]
    labels: Whole  # [S]
    returns: Floats  # [S, K]
    months: Whole  # [S]
    train: int  # how many of them are the training split


def momentum(close: Floats, days: NDArray[np.integer], weights: Floats, length: int) -> Whole:
    """[S] the strategy with the highest return over the `length` days (or fewer, at the beginning) up to each day.

    Args:
        close: [D, N].
        days: [S] rows of `close`.
        weights: [K, N].
    """
    days = np.asarray(days, np.int64)
    begin = np.maximum(days - length, 0)
    growth = close[days] / close[begin]
    return ((growth - 1.0) @ weights.T).argmax(axis=1)


def regress(features: NDArray[np.floating], labels: Whole, strength: float) -> Regression:
    """Fits softmax regression; features are standardised on these very samples first.

    Args:
        features: [S, F].
        labels: [S] indices of strategies; with a single one among them the answer is constant.
        strength: inverse of the L2 regularisation, scikit-learn's C.
    """
    values = np.asarray(features, np.float64)
    classes = np.unique(labels)
    if len(classes) < 2:
        return Regression(classes, np.zeros((values.shape[1], 1)), np.zeros(1))
    mean, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    from sklearn.exceptions import ConvergenceWarning  # seconds that those who only load a baseline need not wait
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=PASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits do not matter to a baseline
        model.fit((values - mean) / spread, labels)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # two classes: softmax over (0, z) is the sigmoid of z
        weights, bias = np.concatenate([np.zeros_like(weights), weights]), np.concatenate([[0.0], bias])
    weights = weights.T / spread[:, None]
    return Regression(classes, weights, bias - mean @ weights)


def read_training(prepared: Path) -> Training:
    """The samples before the hold-out.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_DATA (65) when an array is none.
    """
    parts = [prepared / split for split in ("train", "validation")]
    day, label = (np.concatenate([open_array(part / f"{name}.npy") for part in parts]) for name in ("day", "label"))
    returns = np.concatenate([open_array(part / "returns.npy", 2) for part in parts])
    dates = open_array(prepared / "dates.npy")
    return Training(
        features=np.asarray(open_array(prepared / "features.npy", 2)[day]),
        days=day.astype(np.int64),
        labels=label.astype(np.int64),
        returns=returns.astype(np.float64),
        months=np.asarray(dates)[day].astype("datetime64[D]").astype("datetime64[M]").astype(np.int64),
        train=len(open_array(parts[0] / "day.npy")),
    )


def fit_softmax(section: TradingConfig, prepared: Path) -> Softmax:
    """Softmax regression of the training split."""
    known = read_training(prepared)
    regression = regress(
        known.features[: known.train], known.labels[: known.train], section.evaluation.baseline.strength
    )
    return Softmax(regression, read_reading(prepared), read_strategies(prepared))


def fit_static(prepared: Path) -> Always:
    """The strategy that earned most over the training split."""
    known = read_training(prepared)
    names = read_strategies(prepared)
    best = int(known.returns[: known.train].mean(axis=0).argmax())
    return Always(best, names, _shares(known.labels[: known.train], len(names)))


def fit_majority(prepared: Path) -> Always:
    """The strategy that was most often the best over the training split."""
    known = read_training(prepared)
    names = read_strategies(prepared)
    shares = _shares(known.labels[: known.train], len(names))
    return Always(int(shares.argmax()), names, shares)


def fit_momentum(section: TradingConfig, prepared: Path) -> Momentum:
    """The momentum rule; nothing is learned."""
    symbols = read_reading(prepared).symbols
    weights = weight_matrix(section.data.strategies, symbols)
    return Momentum(section.evaluation.momentum_days, read_strategies(prepared), symbols, weights)


def walk_softmax(section: TradingConfig, prepared: Path, known: Training) -> list[tuple[Fold, Whole]]:
    """The folds of the walk-forward, each with what softmax regression, trained anew before its block, chose on it."""
    found = []
    for fold in walk_forward(prepared, section.data.purge, section.data.embargo):
        regression = regress(known.features[fold.train], known.labels[fold.train], section.evaluation.baseline.strength)
        chances = regression.probabilities(known.features[fold.validation], known.returns.shape[1])
        found.append((fold, chances.argmax(axis=1)))
    return found


def softmax_earns_more(section: TradingConfig, known: Training, walked: Sequence[tuple[Fold, Whole]]) -> bool:
    """Whether softmax regression beat the best static mix of each fold's training part beyond chance.

    Judged by the lower end of the interval of the mean difference over the validation blocks of the walk-forward,
    months drawn again.

    Args:
        walked: from `walk_softmax`.
    """
    differences, months = [], []
    for fold, chosen in walked:
        rows, static = fold.validation, int(known.returns[fold.train].mean(axis=0).argmax())
        differences.append(known.returns[rows, chosen] - known.returns[rows, static])
        months.append(known.months[rows])
    parts = np.column_stack([np.concatenate(differences), np.ones(sum(map(len, differences)))])
    return measures.interval_of(parts, np.concatenate(months), measures.mean, section.evaluation).low > 0


def write(model: Always | Softmax, prepared: Path, folder: Path) -> None:
    """The folder that `load` reads; the same baseline gives the same bytes."""
    if isinstance(model, Softmax):
        form, facts = "softmax", {"classes": model.regression.classes.tolist()}
        arrays = {"weights": np.ascontiguousarray(model.regression.weights), "bias": model.regression.bias}
    else:
        form, facts, arrays = "static", {"strategy": model.strategy}, {"shares": model.shares}
    with published(folder) as part:
        save_file(arrays, part / WEIGHTS)
        for name in (SCALER, STRATEGIES):
            write_text(part / name, (prepared / name).read_text("utf-8"))
        files = {name: sha256_file(part / name) for name in (WEIGHTS, SCALER, STRATEGIES)}
        write_json(part / CARD, {"kind": "baseline", "format": FORMAT, "form": form, **facts, "files": files})


def load(folder: Path) -> Always | Softmax:
    """The baseline that `write` wrote.

    Raises:
        EquipoiseError: E_MISSING (66) without one of its files, E_MODEL (65) when they are damaged or do not fit.
    """
    card = read_card(folder, (WEIGHTS, SCALER, STRATEGIES))
    try:
        return _assemble(card, load_file(folder / WEIGHTS), folder)
    except (ValueError, KeyError, TypeError, SafetensorError, json.JSONDecodeError) as error:
        raise bad_data(
            str(folder), "must be a whole baseline", got=str(error), hint="Run evaluate again", code="MODEL"
        ) from error


def _assemble(card: Mapping[str, Any], arrays: Mapping[str, NDArray], folder: Path) -> Always | Softmax:
    if card["kind"] != "baseline" or card["format"] != FORMAT or card["form"] not in ("static", "softmax"):
        raise ValueError(f"kind {card['kind']!r}, format {card['format']!r}, form {card['form']!r}")
    names, reading = read_strategies(folder), read_reading(folder)
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise ValueError("weights are not finite")
    if card["form"] == "static":
        if arrays["shares"].shape != (len(names),) or not 0 <= int(card["strategy"]) < len(names):
            raise ValueError(f"strategy {card['strategy']} of {len(names)}")
        return Always(int(card["strategy"]), names, arrays["shares"])
    classes = np.array(card["classes"], np.int64)
    if arrays["weights"].shape != (len(reading.means), len(classes)) or arrays["bias"].shape != classes.shape:
        raise ValueError(f"weights have shape {arrays['weights'].shape}")
    if classes.min() < 0 or classes.max() >= len(names):
        raise ValueError(f"classes {classes.tolist()} of {len(names)} strategies")
    return Softmax(Regression(classes, arrays["weights"], arrays["bias"]), reading, names)


def _shares(labels: Whole, strategies: int) -> Floats:
    counts = np.bincount(labels, minlength=strategies)
    return counts / max(1, counts.sum())


def _prediction(strategy: int, names: Sequence[str], chances: Floats) -> Prediction:
    """A baseline thinks one step and is sure of having finished."""
    return Prediction(strategy, names[strategy], float(chances[strategy]), tuple(chances.tolist()), 1, 1.0)
