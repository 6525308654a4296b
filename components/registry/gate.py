"""The gate: PROMOTE, HOLD or REJECT a candidate by paired intervals on the champion's own samples.

Per head three one-sided questions. Better at all? Not worse by its margin? Worse by its margin? The first two of all
heads are one family, the third of all heads another, each corrected by Holm: no candidate is promoted, and none is
rejected, on a claim that is false with more than probability alpha.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from components.config_parts import GateConfig, GateHead
from components.errors import bad_data
from components.evaluation.statistics import (
    Bootstrap,
    PairedDifference,
    clusters_needed,
    clusters_to_see,
    holm,
    p_above,
    paired_differences,
)
from components.registry.gate_report import Decision, GateReport, HeadReport, Verdict

DIGITS = 9  # kept of every number: beyond them a sum depends on the number of threads
MOST_NEEDED = 10**9  # clusters; above it no number is named


def judge(candidate: pl.DataFrame, champion: pl.DataFrame, config: GateConfig) -> GateReport:
    """Compares two models' per-sample scores.

    Args:
        candidate, champion: frames as `Workload.score` gives them, the same samples in the same order: `id`, the
            cluster column, and `<head>/<metric>/hit` and `.../of` of every configured head.

    Raises:
        EquipoiseError: E_GATE_PAIRS (65) when the samples are not the same, E_GATE_SCORES (65) when a column is
            missing, a score is not finite, or a head has fewer than two clusters to be judged on.
    """
    _check_pairs(candidate, champion, config)
    columns = [
        _scores(frame, head, kind) for frame in (candidate, champion) for kind in ("hit", "of") for head in config.heads
    ]
    heads = len(config.heads)
    hit_a, of_a, hit_b, of_b = (np.column_stack(columns[i : i + heads]) for i in range(0, 4 * heads, heads))
    clusters = candidate[config.cluster].to_numpy()
    pairs = paired_differences(hit_a, of_a, hit_b, of_b, clusters, config.resamples, 1 - config.alpha, config.seed)
    samples = [int(np.count_nonzero((of_a[:, i] > 0) | (of_b[:, i] > 0))) for i in range(heads)]
    return conclude(config, pairs, samples, candidate.height, candidate[config.cluster].n_unique())


def conclude(
    config: GateConfig, pairs: list[PairedDifference], samples: list[int], rows: int, clusters: int
) -> GateReport:
    """The rule by itself, from differences to a decision; `gate --self-test` asks the very same of planted ones.

    Args:
        pairs: one a configured head, in that order, from `paired_differences` with the resamples, the seed and the
            confidence 1 - alpha of `config`.
        samples: how many samples have a say in each head.
        rows, clusters: size of the evaluation set.

    Raises:
        EquipoiseError: E_GATE_SCORES (65) when a head has fewer than two clusters to be judged on.
    """
    for head, pair in zip(config.heads, pairs, strict=True):
        _check_head(head, pair, config.cluster)
    reports = _head_reports(config, pairs, samples, clusters)
    decision, reason, needed = _decide(config, reports)
    return GateReport(
        decision=decision,
        reason=reason,
        policy=config.policy,
        alpha=config.alpha,
        confidence=1 - config.alpha,
        resamples=config.resamples,
        seed=config.seed,
        cluster=config.cluster,
        samples=rows,
        clusters=clusters,
        needed=needed,
        heads=reports,
    )


def _head_reports(
    config: GateConfig, pairs: list[PairedDifference], samples: list[int], total: int
) -> tuple[HeadReport, ...]:
    tests = [_tests(pair, head) for head, pair in zip(config.heads, pairs, strict=True)]
    claims = holm([p for better, not_worse, _ in tests for p in (better, not_worse)]).reshape(-1, 2)
    harms = holm([worse for _, _, worse in tests])
    level = first_level(config)
    reports = []
    for head, pair, n, (better, not_worse), harm in zip(config.heads, pairs, samples, claims, harms, strict=True):
        verdict = _verdict(config.alpha, better, not_worse, harm)
        reports.append(
            HeadReport(
                head=head.head,
                metric=head.metric,
                role=head.role,
                direction=head.direction,
                margin=head.margin,
                candidate=round(pair.value_a, DIGITS),
                champion=round(pair.value_b, DIGITS),
                difference=round(pair.difference, DIGITS),
                low=round(pair.low, DIGITS),
                high=round(pair.high, DIGITS),
                verdict=verdict,
                p_better=round(float(better), DIGITS),
                p_not_worse=round(float(not_worse), DIGITS),
                p_worse=round(float(harm), DIGITS),
                samples=n,
                clusters=pair.bootstrap.clusters,
                needed=_needed(config, head, pair, verdict, total, level),
            )
        )
    return tuple(reports)


def first_level(config: GateConfig) -> float:
    """What Holm asks of the smallest p-value of the family of claims for the candidate, two a head."""
    return config.alpha / (2 * len(config.heads))


def _benefit(pair: PairedDifference, head: GateHead) -> Bootstrap:
    """The difference turned so that more is better."""
    return pair.bootstrap if head.direction == "higher" else pair.bootstrap.negated()


def _tests(pair: PairedDifference, head: GateHead) -> tuple[float, float, float]:
    """p-values of better, not worse, worse.

    A bootstrap knows only what it has seen, so each p-value has a floor from what cannot be seen. With k clusters that
    differ at all, an exact sign-flip test cannot go below 2^-k. And harm that sits in a share `margin` of the clusters
    leaves no trace in n clusters with probability (1 - margin)^n: three identical conversations show nothing.
    """
    benefit = _benefit(pair, head)
    signs = 0.5**pair.differing
    better = max(p_above(benefit, 0.0), signs)
    unseen = max(1 - head.margin, 0.0) ** benefit.clusters
    not_worse = min(max(p_above(benefit, -head.margin), unseen), better)
    worse = max(p_above(benefit.negated(), head.margin), signs)
    return better, not_worse, worse


def _verdict(alpha: float, better: float, not_worse: float, worse: float) -> Verdict:
    if worse <= alpha:
        return "worse"
    if better <= alpha:
        return "better"
    return "not worse" if not_worse <= alpha else "undecided"


def _needed(
    config: GateConfig, head: GateHead, pair: PairedDifference, verdict: Verdict, total: int, level: float
) -> int | None:
    """Clusters that would settle what this head still owes: not worse, or (a primary under `improve`) better.

    The true difference is taken to be the one seen; where a primary shows no improvement to build on, an improvement
    as large as its margin is assumed. None where even that would have shown on the samples at hand: no edge, and more
    samples would not make one.
    """
    benefit = _benefit(pair, head)
    owed = []
    if verdict == "undecided":
        unseen = clusters_to_see(head.margin, level)
        number = clusters_needed(benefit, total, benefit.value + head.margin, level)
        owed.append(None if number is None else max(number, math.ceil(unseen * total / benefit.clusters)))
    if config.policy == "improve" and head.role == "primary" and verdict in ("undecided", "not worse"):
        number = clusters_needed(benefit, total, benefit.value if benefit.value > 0 else head.margin, level)
        hopeless = number is not None and benefit.value <= 0 and number <= total
        owed.append(None if hopeless else number)
    if not owed or None in owed:
        return None
    number = max(*(n for n in owed if n is not None), total + 1)
    return number if number <= MOST_NEEDED else None


def _decide(config: GateConfig, heads: tuple[HeadReport, ...]) -> tuple[Decision, str, int | None]:
    worse = [h for h in heads if h.verdict == "worse"]
    if worse:
        return "REJECT", f"{_names(worse)} shown worse than the margin", None
    undecided = [h for h in heads if h.verdict == "undecided"]
    winners = [h for h in heads if h.role == "primary" and h.verdict == "better"]
    if not undecided and winners:
        return "PROMOTE", f"{_names(winners)} shown better and nothing worse than its margin", None
    if not undecided and config.policy == "refresh":
        return "PROMOTE", "nothing shown worse than its margin, which is enough under policy refresh", None
    owing = [h.needed for h in undecided if h.role == "guard" or config.policy == "refresh" or winners]
    if config.policy == "improve" and not winners:
        # One primary head that wins is enough, so the cheapest of them counts.
        chances = [h.needed for h in heads if h.role == "primary" and h.needed is not None]
        owing.append(min(chances, default=None))
    needed = None if None in owing or not owing else max(n for n in owing if n is not None)
    lacking = (
        f"{_names(undecided)} not shown to stay within the margin" if undecided else "no primary head shown better"
    )
    if needed is None:
        return "HOLD", f"{lacking}; more {config.cluster}s are not expected to change that", None
    return "HOLD", f"{lacking}; about {needed} {config.cluster}s in all would decide it", needed


def _names(heads: list[HeadReport]) -> str:
    return ", ".join(f"{h.head} {h.metric}" for h in heads)


def _check_pairs(candidate: pl.DataFrame, champion: pl.DataFrame, config: GateConfig) -> None:
    hint = "Score both models on the same samples in the same order"
    for name in ("id", config.cluster):
        for who, frame in (("candidate", candidate), ("champion", champion)):
            if name not in frame.columns:
                raise bad_data(
                    f"gate, {who}", f"column {name} must be there", got=frame.columns, hint=hint, code="GATE_SCORES"
                )
            if frame[name].null_count():
                raise bad_data(f"gate, {who}", f"every {name} must be given", got="null", hint=hint, code="GATE_SCORES")
        if not candidate[name].equals(champion[name]):
            rule = f"column {name} must be the same for candidate and champion"
            raise bad_data(
                "gate", rule, got=_first_difference(candidate[name], champion[name]), hint=hint, code="GATE_PAIRS"
            )
    if not candidate.height or candidate["id"].n_unique() != candidate.height:
        got = f"{candidate.height} rows, {candidate['id'].n_unique()} ids"
        raise bad_data("gate", "there must be samples, each once", got=got, hint=hint, code="GATE_PAIRS")


def _first_difference(a: pl.Series, b: pl.Series) -> str:
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} samples"
    if a.dtype != b.dtype:
        return f"{a.dtype} and {b.dtype}"
    row = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
    return f"{a[row]} and {b[row]} in row {row}"


def _scores(frame: pl.DataFrame, head: GateHead, kind: str) -> np.ndarray:
    name = f"{head.head}/{head.metric}/{kind}"
    hint = "Configure heads that the workload scores"
    if name not in frame.columns:
        scored = sorted({c.rsplit("/", 1)[0] for c in frame.columns if c.endswith("/hit")})
        raise bad_data("gate", f"column {name} must be there", got=scored, hint=hint, code="GATE_SCORES")
    values = frame[name].cast(pl.Float64).to_numpy()
    if not np.isfinite(values).all() or (values < 0).any():
        row = int(np.flatnonzero(~np.isfinite(values) | (values < 0))[0])
        got = f"{values[row]} at id {frame['id'][row]}"
        raise bad_data(
            f"gate, {name}", "scores must be finite and not negative", got=got, hint=hint, code="GATE_SCORES"
        )
    return values


def _check_head(head: GateHead, pair: PairedDifference, cluster: str) -> None:
    if not (math.isfinite(pair.difference) and math.isfinite(pair.low) and pair.bootstrap.clusters >= 2):
        raise bad_data(
            f"gate, {head.head}/{head.metric}",
            f"at least two {cluster}s must have a labelled sample",
            got=pair.bootstrap.clusters,
            hint="Judge on a larger evaluation set or take the head out of gate.heads",
            code="GATE_SCORES",
        )
