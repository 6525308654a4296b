"""The gate measured on evaluation sets of known truth: how often it errs, how often it sees, what it can see at all.

The rule is not written down here a second time: it is handed in, and decides each replay from the same paired
differences that it decides a real comparison from. Many replays are affordable because `paired_differences` takes any
number of metrics over the same clusters. The sums of R replays stand side by side as R x heads metrics, and one matrix
product counts x sums resamples them all. It is the arithmetic of R single comparisons: the counts of a draw come from
the gate's own seed and the number of clusters alone, so each replay meets the very draws it would meet by itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from components.config_parts import GateConfig
from components.evaluation.self_test_world import World, chances, drawn_set
from components.evaluation.statistics import (
    POWER,
    Bootstrap,
    PairedDifference,
    clusters_needed,
    clusters_to_see,
    paired_differences,
)

Floats = NDArray[np.float64]
Rule = Callable[[list[PairedDifference]], str]  # differences, one a question -> PROMOTE, HOLD or REJECT

DECISIONS = ("PROMOTE", "HOLD", "REJECT")
CONFIDENCE = 0.95  # of the intervals of rates
CELLS = 1 << 23  # numbers of draws and sums held at a time: 64 MB each


@dataclass(frozen=True)
class Rate:
    """`count` of `of` replays, with the exact binomial interval of the share."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.of


@dataclass(frozen=True)
class Scenario:
    """A truth: by how many margins the candidate is better in each question (negative: worse), and what is then false.

    Attributes:
        name: for people.
        head: index of the question that the scenario is about; None where nothing is planted.
        margins: [questions].
        false: decisions that claim what is not so.
        sought: the decision that sees what was planted; None where there is nothing to see.
    """

    name: str
    head: int | None
    margins: tuple[float, ...]
    false: tuple[str, ...]
    sought: str | None


@dataclass(frozen=True)
class Measured:
    """A scenario's decisions and [replays, questions] differences candidate - champion that were seen."""

    scenario: Scenario
    rates: dict[str, Rate]
    differences: Floats


@dataclass(frozen=True)
class Sizing:
    """What a head can show on `clusters` clusters: its noise as the standard deviation of equal models' difference.

    `detectable` is the true difference that is shown with power .8 at the level that Holm asks of the first claim,
    `needed` the number of clusters, in all, with which it is no larger than the margin.
    """

    noise: float
    detectable: float
    needed: int


def scenarios(of: World, config: GateConfig) -> tuple[list[Scenario], list[str]]:
    """What is planted, and the names of what cannot be: a head at .01 has not .02 to lose.

    Equal models; each head and slice worse by one and by two margins while the other primary heads gain two (the
    candidate that hides its harm, which is the hardest to keep out); each primary head better by one and by two.
    """
    heads = range(len(of.questions))
    primary = [h for h in heads if of.questions[h].head.role == "primary"]
    improve = config.policy == "improve"
    equal = Scenario("equal", None, (0.0,) * len(heads), ("PROMOTE", "REJECT") if improve else ("REJECT",), None)
    gains = {h: _most(of, h) for h in primary}
    found, impossible = [equal], []
    for times in (1, 2):
        for h in heads:
            truth = [-float(times) if i == h else gains.get(i, 0.0) for i in heads]
            false = ("PROMOTE", "REJECT") if times == 1 else ("PROMOTE",)
            name = f"{of.questions[h].name} worse by {_margins(times)}"
            found.append(Scenario(name, h, tuple(truth), false, "REJECT" if times > 1 else None))
    for times in (1, 2):
        for h in primary:
            truth = [float(times) if i == h else 0.0 for i in heads]
            found.append(
                Scenario(f"{of.questions[h].name} better by {_margins(times)}", h, tuple(truth), ("REJECT",), "PROMOTE")
            )
    possible = []
    for each in found:
        if np.isnan(chances(of, np.array(each.margins))).any():
            impossible.append(each.name)
        else:
            possible.append(each)
    return possible, impossible


def measure(
    of: World, config: GateConfig, rule: Rule, scenario: Scenario, size: int, replays: int, seed: Sequence[int]
) -> Measured:
    """Lets the rule decide `replays` evaluation sets of `size` clusters in which the scenario is true."""
    moved = chances(of, np.array(scenario.margins))
    generator = np.random.default_rng(list(seed))
    heads = len(of.questions)
    decisions: Counter[str] = Counter()
    differences = []
    for count in _chunks(replays, max(size, config.resamples) * 4 * heads):
        sets = np.stack([drawn_set(of, moved, size, generator) for _ in range(count)])
        for pairs in compared(sets, config):
            decisions[rule(pairs)] += 1
            differences.append([pair.difference for pair in pairs])
    rates = {name: rate(decisions[name], replays) for name in DECISIONS}
    return Measured(scenario, rates, np.array(differences))


def compared(sets: Floats, config: GateConfig) -> Iterator[list[PairedDifference]]:
    """The paired differences of each of [replays, size, 2, 2, questions] evaluation sets, as the gate has them."""
    replays, size, _, _, heads = sets.shape
    hit_a, of_a, hit_b, of_b = (
        sets[:, :, side, part].transpose(1, 0, 2).reshape(size, replays * heads) for side in (0, 1) for part in (0, 1)
    )
    names = np.arange(size)
    pairs = paired_differences(hit_a, of_a, hit_b, of_b, names, config.resamples, 1 - config.alpha, config.seed)
    for start in range(0, len(pairs), heads):
        yield pairs[start : start + heads]


def sizing(differences: Floats, margin: float, size: int, labelled: float, level: float) -> Sizing:
    """What a head can show, from [replays] differences of equal models on `size` clusters each.

    Args:
        labelled: share of the clusters that have a say in the head.
        level: of one claim.
    """
    null = Bootstrap(0.0, differences, differences, size)
    noise = float(np.std(differences, ddof=1))
    needed = clusters_needed(null, size, margin, level)
    unseen = clusters_to_see(margin, level) / labelled
    detectable = (float(ndtri(1 - level)) + float(ndtri(POWER))) * noise
    # Harm in a share of the clusters so small that none of it need be met can be detected by no test.
    rare = -math.expm1(math.log(level) / max(1.0, size * labelled))
    return Sizing(noise, max(detectable, rare), max(needed or 0, math.ceil(unseen)))


def rate(count: int, of: int) -> Rate:
    """The exact interval of a binomial share (Clopper and Pearson 1934), never narrower than it says."""
    tail = (1 - CONFIDENCE) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return Rate(count, of, low, high)


def broken(found: Measured, alpha: float) -> list[str]:
    """The false decisions that are shown to be more frequent than the `alpha` the gate promises for each."""
    return [name for name in found.scenario.false if found.rates[name].low > alpha]


def _chunks(replays: int, cells: int) -> Iterator[int]:
    step = max(1, CELLS // cells)
    for start in range(0, replays, step):
        yield min(step, replays - start)


def _most(of: World, question: int) -> float:
    """Two margins, or as much better as the head can become."""
    head = of.questions[question].head
    chance = of.room if head.direction == "higher" else of.share
    return min(2.0, float(chance[question]) / head.margin * (1 - 1e-9))


def _margins(times: int) -> str:
    return "its margin" if times == 1 else "twice its margin"
