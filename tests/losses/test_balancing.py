"""Every balancer against answers worked by hand: directions for gradients in conflict, formulas, what it remembers."""

from __future__ import annotations

import math
import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.config_parts import BalancerConfig
from components.errors import EquipoiseError
from components.losses.balancing import METHODS, Balancer, balancer

NUMBERS = {"temperature": 2.0, "smoothing": 0.1, "logit_rate": 0.025, "logit_decay": 0.001, "radius": 0.5}
AGGREGATORS = ("upgrad", "mgda", "pcgrad", "cagrad")
SCALARIZATIONS = ("equal", "random", "uncertainty", "dwa", "famo", "chebyshev")


def made(method: str, names: tuple[str, ...] = ("a", "b"), **numbers: float) -> Balancer:
    found = balancer(SimpleNamespace(method=method, **(NUMBERS | numbers)), names)
    assert found is not None
    return found


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def everywhere(values: Tensor) -> Tensor:
    return torch.ones(len(values), dtype=torch.bool)


def weigh(method: Balancer, values: Tensor, seed: int = 0) -> Tensor:
    method.weigh(values, everywhere(values), seed)
    return method.weights


def direction(method: str, gradients: Tensor) -> Tensor:
    """What the aggregator makes of the terms' gradients [K, P]."""
    found = made(method, tuple("abcdef"[: len(gradients)]))
    found.weigh(gradients @ gradients.T, None, seed=3)
    return found.weights @ gradients


def test_static_is_no_balancer_at_all() -> None:
    assert balancer(SimpleNamespace(method="static", **NUMBERS), ("a", "b")) is None


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("mgda", (0.2, 0.4)),  # .6 g + .4 h, the shortest vector between them
        ("pcgrad", (0.5, 1.5)),  # each without its part against the other: (.5, .5) + (0, 1)
        ("upgrad", (0.25, 0.75)),  # the mean of the projections on the dual cone, (.5, .5) and (0, 1)
        ("cagrad", (0.25, 0.5)),  # mean (0, .5), plus half its length along g: then both fall by .25
    ],
)
def test_gradients_in_conflict(method: str, expected: tuple[float, float]) -> None:
    """g = (1, 0) and h = (-1, 1): their sum (0, 1) does nothing for the first."""
    found = direction(method, torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64))
    assert found.tolist() == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("method", "expected"), [("mgda", (0.4, 0.8)), ("pcgrad", (2.0, 1.0)), ("upgrad", (1.0, 0.5))])
def test_gradients_at_peace(method: str, expected: tuple[float, float]) -> None:
    """g = (2, 0) and h = (0, 1): no conflict to solve; MGDA still takes the shortest of the mixtures, .2 g + .8 h."""
    found = direction(method, torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
    assert found.tolist() == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("method", ["upgrad", "mgda", "cagrad"])
@given(numbers=st.lists(st.integers(-5, 5), min_size=12, max_size=12), scale=st.sampled_from([1e-4, 1.0, 1e3]))
@settings(max_examples=15, deadline=None)
def test_no_term_is_sacrificed(method: str, numbers: list[int], scale: float) -> None:
    """Three terms, four parameters: the direction never goes against any term, whatever the unit of the losses."""
    gradients = torch.tensor(numbers, dtype=torch.float64).reshape(3, 4) * scale
    found = direction(method, gradients)
    size = float(gradients.norm())
    assert bool((gradients @ found >= -0.05 * size * size).all())
    if size:
        again = direction(method, gradients / scale)
        assert torch.allclose(found / scale, again, atol=1e-6 * float(again.norm()) + 1e-9)


@pytest.mark.parametrize("method", AGGREGATORS)
def test_a_term_that_does_not_pull_has_no_say(method: str) -> None:
    """MGDA would otherwise choose the gradient of length 0, the shortest there is, and stop."""
    gradients = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    found = made(method, ("a", "none", "b"))
    found.weigh(gradients @ gradients.T, None, seed=3)
    assert found.weights[1] == 1.0
    assert (found.weights @ gradients).tolist() == direction(method, gradients[[0, 2]]).tolist()
    found.weigh(torch.zeros(3, 3, dtype=torch.float64), None, seed=3)
    assert found.weights.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("method", AGGREGATORS)
def test_gradients_that_are_not_finite_change_nothing(method: str) -> None:
    found = made(method)
    found.weigh(torch.tensor([[1.0, -1.0], [-1.0, 2.0]], dtype=torch.float64), None, seed=0)
    before = found.weights.tolist()
    found.weigh(torch.full((2, 2), torch.nan, dtype=torch.float64), None, seed=0)
    assert found.weights.tolist() == before


def test_equal_and_random() -> None:
    assert weigh(made("equal"), row(3.0, 1.0)).tolist() == [1.0, 1.0]
    found = made("random", ("a", "b", "c"))
    state = torch.get_rng_state()
    drawn = torch.stack([weigh(found, row(1.0, 2.0, 3.0), seed) for seed in range(4000)])
    assert torch.equal(torch.get_rng_state(), state)
    assert drawn.sum(1).tolist() == pytest.approx([1.0] * 4000)
    assert drawn.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    assert weigh(found, row(5.0, 5.0, 5.0), 7).tolist() == drawn[7].tolist()


def test_uncertainty_learns_the_logarithm_of_each_loss() -> None:
    """d/ds (exp(-s) L / 2 + s / 2) = 0 at s = ln L, where the weight exp(-s) / 2 is 1 / (2 L)."""
    found, losses = made("uncertainty"), row(0.5, 8.0)
    assert weigh(found, losses).tolist() == [0.5, 0.5]
    for step in range(1500):
        weigh(found, losses)
        found.learn(losses, everywhere(losses), rate=0.05 * (1 - step / 1500))
    assert weigh(found, losses).tolist() == pytest.approx([1.0, 1 / 16], rel=1e-3)


def test_dwa_by_hand() -> None:
    """Means 4 then 2 (rate .5), and 3 then 3 (rate 1): 2 softmax((.5, 1) / 2)."""
    found = made("dwa")
    for epoch in ([(5.0, 3.0), (3.0, 3.0)], [(2.0, 2.0), (2.0, 4.0)]):
        for losses in epoch:
            assert weigh(found, row(*losses)).tolist() == [1.0, 1.0]
            found.learn(row(*losses), everywhere(row(*losses)), rate=0.1)
        found.end_epoch()
    share = 1 / (1 + math.exp(0.25))
    assert weigh(found, row(9.0, 9.0)).tolist() == pytest.approx([2 * share, 2 * (1 - share)])
    assert weigh(made("dwa", temperature=1e9), row(1.0, 1.0)).tolist() == [1.0, 1.0]


def test_famo_by_hand() -> None:
    """At first z = (.5, .5): weights z / L over their sum. The loss that fell less gets more from then on."""
    found = made("famo")
    assert weigh(found, row(1.0, 4.0)).tolist() == pytest.approx([0.8, 0.2])
    found.learn(row(0.5, 3.9), everywhere(row(0.5, 3.9)), rate=0.1)
    first, second = weigh(found, row(1.0, 1.0)).tolist()
    rate = 0.025  # Adam's first step is of this length, up for the one that lags and down for the other
    assert (first, second) == pytest.approx((1 / (1 + math.exp(2 * rate)), 1 / (1 + math.exp(-2 * rate))), rel=1e-5)


def test_chebyshev_by_hand() -> None:
    """exp(L / (2 mu)) over their sum, times the preference 1/2."""
    assert weigh(made("chebyshev", smoothing=0.5), row(2.0, 1.0)).tolist() == pytest.approx(
        [0.5 / (1 + math.exp(-1)), 0.5 / (1 + math.exp(1))]
    )
    assert weigh(made("chebyshev", smoothing=1e-3), row(2.0, 1.0)).tolist() == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize("method", ["famo", "chebyshev"])
def test_an_absent_term_keeps_its_latest_loss(method: str) -> None:
    found, other = made(method), made(method)
    expected = weigh(found, row(1.0, 4.0)).tolist()
    found.weigh(row(1.0, 0.0), torch.tensor([True, False]), 0)
    assert found.weights.tolist() == expected
    other.weigh(row(3.0, 0.0), torch.tensor([True, False]), 0)  # never seen: as much as the others
    assert other.weights.tolist() == weigh(made(method), row(3.0, 3.0)).tolist()
    other.weigh(row(0.0, 0.0), torch.tensor([False, False]), 0)
    assert bool(other.weights.isfinite().all())


def test_an_absent_term_does_not_move_its_log_variance_alone() -> None:
    """A loss of 0 would pull the log-variance down at every step without labels; the one it was last seen with does
    not, once that is what it has learnt."""
    found = made("uncertainty")
    both, one = torch.tensor([True, True]), torch.tensor([True, False])
    found.learn(row(1.0, 1.0), both, rate=0.05)  # exp(-0) = 1: nothing to learn
    for _ in range(50):
        found.learn(row(1.0, 0.0), one, rate=0.05)
    assert weigh(found, row(1.0, 1.0)).tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("method", [*SCALARIZATIONS, *AGGREGATORS])
def test_what_it_remembers_goes_to_a_checkpoint_and_back(method: str) -> None:
    """Two epochs, then saved; a fresh one that was given the state goes on to the last bit."""

    def live(found: Balancer, steps: range) -> list[list[float]]:
        seen = []
        for step in steps:
            values = row(1.0 + 0.3 * math.sin(step), 2.0 / (1 + step), 0.5 + 0.01 * step)
            gradients = torch.sin(torch.arange(12.0, dtype=torch.float64) * (step + 1)).reshape(3, 4)
            evidence = gradients @ gradients.T if found.asks == "gradients" else values
            found.weigh(evidence, everywhere(values), step)
            seen.append(found.weights.tolist())
            if found.learns:
                found.learn(values * 0.9, everywhere(values), rate=0.02)
            if step % 4 == 3:
                found.end_epoch()
        return seen

    names = ("a", "b", "c")
    first, again = made(method, names), made(method, names)
    live(first, range(10))
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    again.restore(state)
    assert live(again, range(10, 20)) == live(first, range(10, 20))
    assert len({tuple(weights) for weights in live(first, range(20, 30))}) > 1 or method == "equal"


@pytest.mark.parametrize(
    ("method", "play", "said"),
    [
        ("famo", lambda found: weigh(found, row(1.0, -0.5)), r"term b: famo takes logarithms: .*, got -0\.5"),
        ("dwa", lambda found: sign_change(found), r"term b: dwa divides .* may not change sign, got -1\.0"),
    ],
)
def test_losses_that_a_method_cannot_take(method: str, play: Any, said: str) -> None:
    with pytest.raises(EquipoiseError, match=f"E_BALANCER params.yaml: training.balancer, {said}") as caught:
        play(made(method))
    assert caught.value.exit_code == 78


def sign_change(found: Balancer) -> None:
    for losses in (row(1.0, 1.0), row(1.0, -1.0)):
        found.learn(losses, everywhere(losses), rate=0.1)
        found.end_epoch()


@pytest.mark.parametrize(("method", "package"), [("cagrad", "cvxpy"), ("upgrad", "quadprog"), ("dwa", "torchjd")])
def test_a_missing_package_is_named_by_its_extra(method: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchjd._mixins.find_spec", lambda name: None if name == package else find_spec(name))
    if package == "torchjd":
        monkeypatch.setitem(sys.modules, "torchjd.scalarization", None)
    with pytest.raises(EquipoiseError, match=r"E_BALANCER .*method: its packages must be installed.*\[balancers\]"):
        made(method)


def test_every_method_of_the_configuration_is_there() -> None:
    annotation = BalancerConfig.model_fields["method"].annotation
    assert annotation is not None
    assert set(annotation.__args__) == {"static", *METHODS}
