"""What prepare found: how time was cut, which strategies can win and how often they do, and what doing nothing clever
earns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config_trading import TradingData
from components.data.splits import SPLITS
from components.workloads.trading.folds import Cut
from components.workloads.trading.records import Panel
from components.workloads.trading.strategies import never_best, weight_matrix

Array = NDArray[np.float64]


def build_report(
    data: TradingData, panel: Panel, cut: Cut, returns: Array, labels: NDArray[np.int64], logged: Mapping[str, int]
) -> dict[str, Any]:
    """The report as plain values; shares and returns are fractions.

    Args:
        returns: [D - horizon, K] net returns by day.
        labels: [D - horizon].
        logged: split -> days whose PnL comes from the trade log.
    """
    names = list(data.strategies)
    everything = cut.labelled
    majority = _commonest(labels[cut.days["train"]], len(names))
    never = [names[k] for k in never_best(weight_matrix(data.strategies, panel.symbols))]
    dead_band = "" if data.dead_band == 0 else "by return; within the dead band they can be named"
    return {
        "workload": "trading",
        "bars": {
            "symbols": list(panel.symbols),
            "exogenous": list(panel.exogenous),
            "days": len(panel),
            "first": str(panel.dates[0]),
            "last": str(panel.dates[-1]),
            "largest_moves": {s: _largest_move(panel, i) for i, s in enumerate(panel.symbols)},
            "correlation": _correlation(panel),
        },
        "never_best": {"strategies": never, "note": dead_band},
        "never_seen": [names[k] for k in np.flatnonzero(np.bincount(labels[everything], minlength=len(names)) == 0)],
        "majority": names[majority],
        "class_shares": {"strategy": _shares(labels[cut.days["train"]], names)},
        "splits": {
            split: {
                **_split(panel, cut.days[split], returns, labels, names, majority, data.horizon),
                "logged": logged[split],
            }
            for split in SPLITS
        },
        "all": _split(panel, everything, returns, labels, names, majority, data.horizon),
        "folds": _folds(panel, cut),
    }


def _split(
    panel: Panel,
    days: NDArray[np.int32],
    returns: Array,
    labels: NDArray[np.int64],
    names: Sequence[str],
    majority: int,
    horizon: int,
) -> dict[str, Any]:
    found, best = returns[days], labels[days]
    ordered = np.sort(found, axis=1)
    mean = found.mean(axis=0)
    earlier = days[days - days[0] >= horizon]
    return {
        "days": len(days),
        "first": str(panel.dates[days[0]]),
        "last": str(panel.dates[days[-1]]),
        "shares": _shares(best, names),
        "majority_accuracy": float((best == majority).mean()),
        "same_as_last_accuracy": float((labels[earlier] == labels[earlier - horizon]).mean()) if len(earlier) else None,
        "mean_return": dict(zip(names, mean.tolist(), strict=True)),
        "best_static": names[int(mean.argmax())],
        "oracle_return": float(found.max(axis=1).mean()),
        "lead_median": float(np.median(ordered[:, -1] - ordered[:, -2])),
        "spread_mean": float((ordered[:, -1] - ordered[:, 0]).mean()),
    }


def _folds(panel: Panel, cut: Cut) -> list[dict[str, Any]]:
    days = np.concatenate([cut.days["train"], cut.days["validation"]])
    block = np.concatenate([cut.folds["train"], cut.folds["validation"]])
    return [
        {
            "fold": number,
            "days": int((block == number).sum()),
            "first": str(panel.dates[days[block == number][0]]),
            "last": str(panel.dates[days[block == number][-1]]),
        }
        for number in range(1, int(block.max()) + 1)
    ]


def _shares(labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, float]:
    counts = np.bincount(labels, minlength=len(names))
    return {name: float(count / max(1, len(labels))) for name, count in zip(names, counts, strict=True)}


def _commonest(labels: NDArray[np.int64], classes: int) -> int:
    return int(np.bincount(labels, minlength=classes).argmax())


def _largest_move(panel: Panel, column: int) -> dict[str, Any]:
    moves = panel.close[1:, column] / panel.close[:-1, column] - 1
    day = int(np.abs(moves).argmax())
    return {"day": str(panel.dates[day + 1]), "return": float(moves[day])}


def _correlation(panel: Panel) -> dict[str, float]:
    """Of daily returns, of every symbol with the first."""
    daily = np.diff(np.log(panel.close), axis=0)
    moving = daily.std(axis=0) > 0
    return {
        symbol: float(np.corrcoef(daily[:, 0], daily[:, i])[0, 1])
        for i, symbol in enumerate(panel.symbols)
        if i and moving[0] and moving[i]
    }


def render_report(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    bars, splits = report["bars"], report["splits"]
    never = report["never_best"]
    lines = [
        "# Prepared data: trading",
        "",
        f"{', '.join(bars['symbols'])}: {bars['days']:,} days, {bars['first']} to {bars['last']}. "
        f"Beside them: {', '.join(bars['exogenous']) or 'nothing'}.",
        "",
        f"Can never be best, whatever the symbols earn (they are mixtures of others): "
        f"{', '.join(never['strategies']) or 'none'}{' ' if never['note'] else ''}{never['note']}.",
        f"Never best in these data: {', '.join(report['never_seen']) or 'none'}.",
        "",
        f"| | {' | '.join(SPLITS)} |",
        "| --- | --- | --- | --- |",
    ]
    for title, key in (
        ("days", "days"),
        ("first", "first"),
        ("last", "last"),
        ("days with a logged trade", "logged"),
        (f"accuracy of always {report['majority']}", "majority_accuracy"),
        ("accuracy of the best strategy before", "same_as_last_accuracy"),
        ("best fixed strategy", "best_static"),
        ("mean return of the best in hindsight", "oracle_return"),
        ("median lead of the best over the second", "lead_median"),
        ("mean spread of best to worst", "spread_mean"),
    ):
        lines.append(f"| {title} | {' | '.join(_cell(splits[split][key]) for split in SPLITS)} |")
    heads = " | ".join(f"{split}: best | {split}: mean return" for split in SPLITS)
    lines += ["", "## Strategies", "", f"| strategy | {heads} |", f"| ---{' | ---' * 6} |"]
    for name in report["class_shares"]["strategy"]:
        cells = [_cell(splits[split][key][name]) for split in SPLITS for key in ("shares", "mean_return")]
        lines.append(f"| {_plain(name)} | {' | '.join(cells)} |")
    lines += ["", "## Walk-forward", "", "| fold | days | first | last |", "| --- | --- | --- | --- |"]
    lines += [f"| {f['fold']} | {f['days']} | {f['first']} | {f['last']} |" for f in report["folds"]]
    return "\n".join([*lines, ""])


def _plain(name: str) -> str:
    """A name from the parameters as text that cannot become markup."""
    return "".join(c if c.isalnum() or c in "._-/ " else "?" for c in name)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3%}" if abs(value) < 0.1 else f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else _plain(str(value))
