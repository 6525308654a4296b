"""The leakage alarm: markets do not let themselves be guessed well, so what guesses them too well knows the future.

Two signs raise it: a learned model is right far more often than always the most frequent strategy, or a single feature
goes with the days to come more closely than anything known at the close can. Both are judged by the lower end of an
interval, so that luck raises no alarm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from components.config_parts import EvaluationConfig
from components.evaluation import metrics as measures
from components.evaluation.statistics import ratios

SUSPECTS = 3  # features named
BELIEVED = 0.4  # rank correlation of a feature with the days to come; a daily information ratio of .15 needs some .2
JUDGED = ["strategy/accuracy/hit", "strategy/accuracy/of"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Leakage:
    """What was found.

    Attributes:
        alarm: whether a model or a feature was caught.
        margin: excess of accuracy that is believed.
        models: name -> accuracy, majority, excess with its interval (`low`, `high`), all shares.
        features: those that go most closely with the days to come, closest first: feature, days, rank_correlation and
            `low`, the lower end of its size.
        sentence: the alarm in words, empty without one.
    """

    alarm: bool
    margin: float
    models: dict[str, dict[str, float | None]]
    features: list[dict[str, Any]]
    sentence: str

    def document(self) -> dict[str, Any]:
        return asdict(self)


def look_for_leakage(
    frames: Mapping[str, pl.DataFrame],
    majority: pl.DataFrame,
    features: NDArray[np.floating],
    names: Sequence[str],
    ahead: Floats,
    margin: float,
    settings: EvaluationConfig,
) -> Leakage:
    """Judges learned models and single features.

    Args:
        frames: learned model -> table of `score`; the same decisions in all.
        majority: that of always the strategy most frequent in training.
        features: [S, F] of the last bar of each decision.
        names: [F] of the features.
        ahead: [S, H] what is to be guessed over the next 1, 2, ... H days.
        margin: excess of accuracy that is believed.
    """
    models = {name: _excess(frame, majority, settings) for name, frame in frames.items()}
    closest = closest_features(features, names, ahead, settings.confidence)
    right = {name: of for name, of in models.items() if of["low"] is not None and of["low"] > margin}
    knowing = [each for each in closest if each["low"] > BELIEVED]
    return Leakage(bool(right or knowing), margin, models, closest[:SUSPECTS], _sentence(right, knowing, margin))


def closest_features(
    features: NDArray[np.floating], names: Sequence[str], ahead: Floats, confidence: float
) -> list[dict[str, Any]]:
    """Every feature with the days ahead it goes with most closely, closest first.

    `low`: lower end of the size of the rank correlation by Fisher's transform, as if only every h-th decision counted
    where h days overlap, and with the error shared out over all pairs that were tried.
    """
    values, tried = np.asarray(features, np.float64), len(names) * ahead.shape[1]
    z = float(ndtri(1 - (1 - confidence) / 2 / max(1, tried)))
    found = [
        _link(column, ahead[:, h], name, h + 1, z)
        for name, column in zip(names, values.T, strict=True)
        for h in range(ahead.shape[1])
    ]
    best: dict[str, dict[str, Any]] = {}
    for each in filter(None, found):
        if each["feature"] not in best or each["low"] > best[each["feature"]]["low"]:
            best[each["feature"]] = each
    return sorted(best.values(), key=lambda each: (-each["low"], -abs(each["rank_correlation"])))


def _link(column: Floats, returns: Floats, name: str, days: int, z: float) -> dict[str, Any] | None:
    """None where the feature or the returns never change, or too few decisions stand apart."""
    independent = len(column) / days
    if np.ptp(column) == 0 or np.ptp(returns) == 0 or independent <= 4:
        return None
    size = float(np.corrcoef(rankdata(column), rankdata(returns))[0, 1])
    reach = z / math.sqrt(independent - 3)
    low = math.tanh(max(0.0, math.atanh(min(abs(size), 1 - 1e-12)) - reach))
    return {"feature": name, "days": days, "rank_correlation": size, "low": low}


def _excess(frame: pl.DataFrame, majority: pl.DataFrame, settings: EvaluationConfig) -> dict[str, float | None]:
    months = majority["month"].rank("dense").to_numpy()
    both = np.concatenate([each.select(JUDGED).to_numpy() for each in (frame, majority)], axis=1)
    excess = measures.interval_of(both, months, measures.minus(ratios, 2), settings)
    low, high = (end if math.isfinite(end) else None for end in excess[1:])
    own, base = (float(each[JUDGED[0]].to_numpy().mean()) for each in (frame, majority))
    return {"accuracy": own, "majority": base, "excess": excess.value, "low": low, "high": high}


def _sentence(right: Mapping[str, Mapping[str, Any]], knowing: Sequence[Mapping[str, Any]], margin: float) -> str:
    if not right and not knowing:
        return ""
    parts = [
        f"{name} is right on {of['accuracy']:.1%} of the days, always the most frequent strategy on "
        f"{of['majority']:.1%}: at least {of['low']:.1%} more, and {margin:.0%} are believed"
        for name, of in right.items()
    ]
    parts += [
        f"feature {each['feature']} has a rank correlation of {each['rank_correlation']:+.2f} with the next "
        f"{'day' if each['days'] == 1 else str(each['days']) + ' days'}"
        for each in knowing[:SUSPECTS]
    ]
    return f"Leakage alarm: {'; '.join(parts)}."
