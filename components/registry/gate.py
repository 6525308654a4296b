"""The gate: PROMOTE, HOLD or REJECT a candidate by paired intervals on the champion's own samples.

Per head three one-sided questions. Better at all? Not worse by its margin? Worse by its margin? The first two of all
heads are one family, the third of all heads another, each corrected by Holm: no candidate is promoted, and none is
rejected, on a claim that is false with more than probability alpha. Slices of heads and budgets stand in the same
families, as guards. Alpha is that of the look: all looks at one hold-out share what is configured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from components.config_parts import GateConfig, GateHead
from components.errors import bad_data
from components.evaluation.judged import Answer, Examination, Question, Skipped, examine
from components.evaluation.judged_series import Account
from components.evaluation.statistics import (
    Bootstrap,
    PairedDifference,
    clusters_needed,
    clusters_to_see,
    holm,
    p_above,
)
from components.registry.gate_budgets import Cost, budget_report, budget_tests
from components.registry.gate_report import BudgetReport, Decision, GateReport, HeadReport, Verdict
from components.registry.gate_spending import alpha_of_look

DIGITS = 9  # kept of every number: beyond them a sum depends on the number of threads
ENOUGH = 5  # draws beyond the smallest level: with fewer, luck in the draws would decide
MOST_DRAWS = 200_000
STEP = 8  # times as many draws, where those before were too few
MOST_NEEDED = 10**9  # clusters; above it no number is named


def judge(
    candidate: pl.DataFrame,
    champion: pl.DataFrame,
    config: GateConfig,
    look: int = 1,
    accounts: tuple[Account, Account] | None = None,
    costs: Sequence[Cost] = (),
) -> GateReport:
    """Compares two models' per-sample scores.

    Args:
        candidate, champion: frames as `Workload.score` gives them, the same samples in the same order: `id`, the
            cluster column, and what the configured heads are made of (see `judged`).
        look: which look at these samples it is, 1 for the first: the later, the less of alpha is left to it.
        accounts: daily accounts of both, where a head is one of them.
        costs: what is held against a budget.

    Raises:
        EquipoiseError: E_GATE_PAIRS (65) when the samples are not the same, E_GATE_SCORES (65) when a column is
            missing, a score is not finite, or a head has fewer than two clusters to be judged on.
    """
    return settle(lay_out(candidate, champion, config, accounts), look, costs)


def lay_out(
    candidate: pl.DataFrame, champion: pl.DataFrame, config: GateConfig, accounts: tuple[Account, Account] | None = None
) -> Examination:
    """What `settle` answers at any look; raises what `judge` raises of tables that cannot be compared."""
    _check_pairs(candidate, champion, config)
    return examine(candidate, champion, config, accounts)


def settle(asked: Examination, look: int = 1, costs: Sequence[Cost] = ()) -> GateReport:
    """Answers what was laid out, with as many draws as the alpha of this look asks for, and concludes.

    No p-value is below 1 / (draws + 1). Where one comes near that, and the level lies below what these draws can tell
    apart, more are drawn; p-values that are larger anyway need no more.
    """
    config, resamples = asked.config, asked.config.resamples
    answers = asked.answers(resamples)
    wanted = draws_for(config, asked.questions, len(costs), look)
    while resamples < wanted and _smallest(answers) <= 2 * ENOUGH / (resamples + 1):
        resamples = min(wanted, STEP * resamples)
        answers = asked.answers(resamples)
    rows = asked.candidate.height
    return conclude(config, answers, rows, asked.clusters, look, resamples, costs, asked.skipped)


def conclude(
    config: GateConfig,
    answers: Sequence[Answer],
    rows: int,
    clusters: int,
    look: int = 1,
    resamples: int | None = None,
    costs: Sequence[Cost] = (),
    skipped: tuple[Skipped, ...] = (),
) -> GateReport:
    """The rule by itself, from differences to a decision; `gate --self-test` asks the very same of planted ones.

    Args:
        answers: one a question, with the seed and the confidence 1 - alpha of `config`.
        rows, clusters: size of the evaluation set.
        look, costs: as `judge` has them.
        resamples: drawn; None: as many as configured.

    Raises:
        EquipoiseError: E_GATE_SCORES (65) when a head has fewer than two clusters to be judged on.
    """
    for each in answers:
        _check_answer(each, config.cluster)
    alpha = alpha_of_look(look, config.alpha, config.spending)
    heads, budgets = _reports(config, answers, costs, alpha, clusters)
    decision, reason, needed = _decide(config, heads, budgets)
    return GateReport(
        decision=decision,
        reason=reason,
        policy=config.policy,
        alpha=round(alpha, DIGITS),
        alpha_in_all=config.alpha,
        look=look,
        confidence=1 - config.alpha,
        resamples=resamples or config.resamples,
        seed=config.seed,
        cluster=config.cluster,
        samples=rows,
        clusters=clusters,
        needed=needed,
        heads=heads,
        budgets=budgets,
        not_judged=skipped,
    )


def _reports(
    config: GateConfig, answers: Sequence[Answer], costs: Sequence[Cost], alpha: float, total: int
) -> tuple[tuple[HeadReport, ...], tuple[BudgetReport, ...]]:
    """Both families adjusted by Holm: better, not worse, within its budget; and worse, over its budget."""
    tests = [_tests(answer) for answer in answers]
    paid = [budget_tests(cost) for cost in costs]
    claims = iter(
        holm([p for answer, (better, kept, _) in zip(answers, tests, strict=True)
              for p in ((kept,) if answer.question.slice else (better, kept))] + [within for within, _ in paid])
    )  # fmt: skip
    harms = iter(holm([worse for _, _, worse in tests] + [over for _, over in paid]))
    level = first_level(alpha, [answer.question for answer in answers], len(costs))
    heads = []
    for answer in answers:
        better = None if answer.question.slice else float(next(claims))
        heads.append(_report(config, answer, better, float(next(claims)), float(next(harms)), alpha, total, level))
    budgets = [
        budget_report(cost, float(next(claims)), float(next(harms)), alpha, 1 - config.alpha, DIGITS) for cost in costs
    ]
    return tuple(heads), tuple(budgets)


def _report(
    config: GateConfig,
    answer: Answer,
    better: float | None,
    not_worse: float,
    harm: float,
    alpha: float,
    total: int,
    level: float,
) -> HeadReport:
    head, pair = answer.question.head, answer.pair
    verdict = _verdict(alpha, better, not_worse, harm)
    return HeadReport(
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
        p_better=None if better is None else round(better, DIGITS),
        p_not_worse=round(not_worse, DIGITS),
        p_worse=round(harm, DIGITS),
        samples=answer.samples,
        clusters=pair.bootstrap.clusters,
        needed=_needed(config, answer, verdict, total, level),
        slice=answer.question.slice,
    )


def first_level(alpha: float, questions: Sequence[Question], budgets: int = 0) -> float:
    """What Holm asks of the smallest p-value of the family of claims for the candidate: two a head (better, not
    worse), one a slice (not worse), one a budget (within it)."""
    return alpha / (sum(1 if question.slice else 2 for question in questions) + budgets)


def draws_for(config: GateConfig, questions: Sequence[Question], budgets: int = 0, look: int = 1) -> int:
    """How many draws tell p-values apart at the level of this look: as many as configured, or more."""
    alpha = alpha_of_look(look, config.alpha, config.spending)
    return max(config.resamples, min(math.ceil(ENOUGH / first_level(alpha, questions, budgets)), MOST_DRAWS))


def _smallest(answers: Sequence[Answer]) -> float:
    return min(p for answer in answers for p in _tests(answer))


def _benefit(pair: PairedDifference, head: GateHead) -> Bootstrap:
    """The difference turned so that more is better."""
    return pair.bootstrap if head.direction == "higher" else pair.bootstrap.negated()


def _tests(answer: Answer) -> tuple[float, float, float]:
    """p-values of better, not worse, worse.

    A bootstrap knows only what it has seen, so each p-value has a floor from what cannot be seen. With k clusters that
    differ at all, an exact sign-flip test cannot go below 2^-k. And harm that sits in a share `margin` of the clusters
    leaves no trace in n clusters with probability (1 - margin)^n: three identical conversations show nothing.
    """
    pair, head = answer.pair, answer.question.head
    benefit = _benefit(pair, head)
    signs = 0.5**pair.differing
    better = max(p_above(benefit, 0.0), signs)
    unseen = max(1 - head.margin, 0.0) ** benefit.clusters if answer.question.bounded else 0.0
    not_worse = min(max(p_above(benefit, -head.margin), unseen), better)
    worse = max(p_above(benefit.negated(), head.margin), signs)
    return better, not_worse, worse


def _verdict(alpha: float, better: float | None, not_worse: float, worse: float) -> Verdict:
    if worse <= alpha:
        return "worse"
    if better is not None and better <= alpha:
        return "better"
    return "not worse" if not_worse <= alpha else "undecided"


def _needed(config: GateConfig, answer: Answer, verdict: Verdict, total: int, level: float) -> int | None:
    """Clusters that would settle what this head still owes: not worse, or (a primary under `improve`) better.

    The true difference is taken to be the one seen; where a primary shows no improvement to build on, an improvement
    as large as its margin is assumed. None where even that would have shown on the samples at hand: no edge, and more
    samples would not make one.
    """
    head = answer.question.head
    benefit = _benefit(answer.pair, head)
    owed = []
    if verdict == "undecided":
        unseen = clusters_to_see(head.margin, level) if answer.question.bounded else 0
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


def _decide(
    config: GateConfig, heads: tuple[HeadReport, ...], budgets: tuple[BudgetReport, ...]
) -> tuple[Decision, str, int | None]:
    worse = [h.name for h in heads if h.verdict == "worse"]
    over = [f"{b.name} {b.candidate:.4g} {b.unit}, {b.budget:g} allowed" for b in budgets if b.verdict == "over"]
    if worse or over:
        shown = [f"{', '.join(worse)} shown worse than the margin"] if worse else []
        shown += [f"shown over its budget: {'; '.join(over)}"] if over else []
        return "REJECT", "; ".join(shown), None
    undecided = [h for h in heads if h.verdict == "undecided"]
    unpaid = [b.name for b in budgets if b.verdict == "undecided"]
    winners = [h for h in heads if h.role == "primary" and h.verdict == "better"]
    settled = not undecided and not unpaid
    if settled and winners:
        return "PROMOTE", f"{_names(winners)} shown better and nothing worse than its margin", None
    if settled and config.policy == "refresh":
        return "PROMOTE", "nothing shown worse than its margin, which is enough under policy refresh", None
    owing = [h.needed for h in undecided if h.role == "guard" or config.policy == "refresh" or winners]
    if config.policy == "improve" and not winners:
        # One primary head that wins is enough, so the cheapest of them counts.
        chances = [h.needed for h in heads if h.role == "primary" and h.needed is not None]
        owing.append(min(chances, default=None))
    needed = None if None in owing or not owing else max(n for n in owing if n is not None)
    lacking = [f"{_names(undecided)} not shown to stay within the margin"] if undecided else []
    lacking += [f"{', '.join(unpaid)} not shown to stay within the budget"] if unpaid else []
    reason = "; ".join(lacking) or "no primary head shown better"
    if unpaid and not owing:
        return "HOLD", f"{reason}; a calmer machine may decide it", None
    if needed is None:
        return "HOLD", f"{reason}; more {config.cluster}s are not expected to change that", None
    return "HOLD", f"{reason}; about {needed} {config.cluster}s in all would decide it", needed


def _names(heads: list[HeadReport]) -> str:
    return ", ".join(h.name for h in heads)


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


def _check_answer(answer: Answer, cluster: str) -> None:
    head, pair = answer.question.head, answer.pair
    if not (math.isfinite(pair.difference) and math.isfinite(pair.low) and pair.bootstrap.clusters >= 2):
        raise bad_data(
            f"gate, {head.head}/{head.metric}",
            f"at least two {cluster}s must have a labelled sample",
            got=pair.bootstrap.clusters,
            hint="Judge on a larger evaluation set or take the head out of gate.heads",
            code="GATE_SCORES",
        )
