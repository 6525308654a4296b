"""The 23 checks that the Trade Reasoning Module's specification lists, class by class, with the corrected numbers."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from components.errors import EquipoiseError
from components.losses.composite import Composite
from components.losses.halting import confident_halting, is_confident_and_right
from components.losses.profit import clamped_class_weights, profit_ce, profit_weights, task_ce
from components.losses.reductions import reduced
from components.workloads.trading.loss import TERMS

CLASSES = 8


def made(batch: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Task logits, halting logits, labels, pnl."""
    make = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, CLASSES, generator=make, dtype=torch.float64).requires_grad_(),
        torch.randn(batch, generator=make, dtype=torch.float64).requires_grad_(),
        torch.randint(0, CLASSES, (batch,), generator=make),
        torch.randn(batch, generator=make, dtype=torch.float64) * 0.05,
    )


def sections(lambda_profit=1.0, lambda_halt=0.01, lambda_task=0.0, class_weights=None, threshold=0.7, pnl_scale=0.05):
    shared = {"schedule": ((0.0, 1.0),)}
    weighted = {"class_weights": class_weights, "class_weight_limit": 10.0, **shared}
    return SimpleNamespace(
        profit=SimpleNamespace(weight=lambda_profit, pnl_scale=pnl_scale, w_min=0.0, **weighted),
        halt=SimpleNamespace(weight=lambda_halt, confidence_threshold=threshold, **shared),
        task=SimpleNamespace(weight=lambda_task, **weighted),
    )


def total(parts, **numbers):
    """(loss, rows of the report) of one batch: what the specification calls the forward pass."""
    logits, halting, labels, pnl = parts
    composite = Composite(TERMS, sections(**numbers))
    batch = {"label": labels, "pnl": pnl, "class_counts": torch.ones(CLASSES, dtype=torch.long)}
    outputs = {"task_logits": logits, "halt_logits": halting}
    loss, report = composite(outputs, batch, composite.counts([batch], 1), 0.5)
    return loss, report.rows()


class TestTaskLoss:
    def test_basic_cross_entropy(self):
        logits, _, labels, _ = made()
        assert_close(reduced(task_ce(logits, labels), "mean"), functional.cross_entropy(logits, labels))

    def test_class_weights(self):
        logits, _, labels, _ = made()
        weights = torch.arange(1.0, 9.0, dtype=torch.float64)
        expected = functional.cross_entropy(logits, labels, weight=weights, reduction="none")
        assert_close(task_ce(logits, labels, weights).values, expected)

    def test_reductions(self):
        logits, _, labels, _ = made()
        masked = task_ce(logits, labels)
        for word in ("none", "mean", "sum"):
            assert_close(reduced(masked, word), functional.cross_entropy(logits, labels, reduction=word))

    def test_input_validation(self):
        logits, halting, labels, pnl = made()
        with pytest.raises(EquipoiseError, match="E_LOSS_SHAPE"):
            task_ce(logits, labels[:3])
        with pytest.raises(EquipoiseError, match="each of the 8 strategies"):
            total((logits[:, :5], halting, labels, pnl))


class TestHaltLoss:
    confident = torch.tensor([[10.0] + [0.0] * 7], dtype=torch.float64)

    def test_confident_and_right_should_halt(self):
        assert is_confident_and_right(self.confident, torch.tensor([0]), 0.7).tolist() == [True]
        loss = confident_halting(torch.tensor([3.0]), self.confident, torch.tensor([0]), 0.7).values
        assert float(loss) == pytest.approx(math.log(1 + math.exp(-3)), abs=1e-6)

    def test_not_confident_should_go_on(self):
        assert is_confident_and_right(torch.zeros(1, 8), torch.tensor([0]), 0.7).tolist() == [False]
        loss = confident_halting(torch.tensor([3.0]), torch.zeros(1, 8), torch.tensor([0]), 0.7).values
        assert float(loss) == pytest.approx(math.log(1 + math.exp(3)), abs=1e-6)

    def test_confident_but_wrong_should_go_on(self):
        assert is_confident_and_right(self.confident, torch.tensor([3]), 0.7).tolist() == [False]

    def test_the_threshold_decides(self):
        logits = torch.tensor([[math.log(7 * 0.6 / 0.4)] + [0.0] * 7], dtype=torch.float64)  # probability .6
        found = [bool(is_confident_and_right(logits, torch.tensor([0]), t)) for t in (0.5, 0.59, 0.61, 0.7)]
        assert found == [True, True, False, False]

    def test_halt_logits_of_one_and_two_dimensions(self):
        logits, halting, labels, _ = made()
        flat = confident_halting(halting, logits, labels, 0.7)
        column = confident_halting(halting.unsqueeze(-1), logits, labels, 0.7)
        assert_close(flat.values, column.values)
        with pytest.raises(EquipoiseError, match="E_LOSS_SHAPE"):
            confident_halting(halting[:3], logits, labels, 0.7)


class TestProfitWeightedLoss:
    def test_losses_teach_more_than_gains(self):
        logits, labels = torch.zeros(2, CLASSES), torch.tensor([0, 0])
        gained, lost = profit_ce(logits, labels, torch.tensor([0.05, -0.05])).values.tolist()
        assert (gained / math.log(8), lost / math.log(8)) == pytest.approx((0.2384, 1.7616), abs=1e-4)

    def test_the_formula(self):
        logits, _, labels, pnl = made(16)
        expected = functional.cross_entropy(logits, labels, reduction="none") * (1 - torch.tanh(pnl / 0.05))
        assert_close(profit_ce(logits, labels, pnl).values, expected)

    def test_a_larger_scale_weighs_more_evenly(self):
        pnl = torch.tensor([0.05, -0.05], dtype=torch.float64)
        spread = [float(profit_weights(pnl, scale).diff()) for scale in (0.01, 0.05, 0.5)]
        assert spread == sorted(spread, reverse=True) and spread[0] > 1.99

    def test_zero_pnl_is_neutral(self):
        logits, _, labels, pnl = made()
        assert_close(profit_ce(logits, labels, pnl * 0).values, task_ce(logits, labels).values)


class TestCombinedLoss:
    def test_initialisation(self):
        composite = Composite(TERMS, sections())
        assert composite.names == ("profit", "halt", "task")
        assert [leaf.factor(0.5) for leaf in composite.leaves] == [1.0, 0.01, 0.0]

    def test_forward(self):
        parts = made()
        logits, halting, labels, pnl = parts
        halt = reduced(confident_halting(halting, logits, labels, 0.7), "mean")
        profit = reduced(profit_ce(logits, labels, pnl), "mean")
        assert_close(total(parts)[0], 0.01 * halt + 1.0 * profit)

    def test_components(self):
        parts = made()
        loss, rows = total(parts)
        assert set(rows) == {"profit", "halt", "task"}
        assert rows["task"]["raw"] == pytest.approx(float(functional.cross_entropy(parts[0], parts[2])))
        assert rows["task"]["share"] == 0
        assert sum(row["share"] for row in rows.values()) == pytest.approx(float(loss.detach()))
        assert all(row["n_valid"] == 4 for row in rows.values())

    def test_lambdas_scale_their_terms(self):
        parts = made()
        loss, rows = total(parts, lambda_profit=2.0, lambda_halt=0.5)
        assert float(loss.detach()) == pytest.approx(2 * rows["profit"]["raw"] + 0.5 * rows["halt"]["raw"])

    def test_class_weights(self):
        parts, weights = made(), [2.0] * CLASSES
        assert_close(total(parts, class_weights=weights, lambda_halt=0)[0], 2 * total(parts, lambda_halt=0)[0])
        assert clamped_class_weights(weights, 10.0).tolist() == weights

    def test_backward(self):
        parts = made()
        total(parts)[0].backward()
        for leaf in parts[:2]:
            assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0

    def test_representation(self):
        text = repr(Composite(TERMS, sections(lambda_halt=0.02)))
        assert text.startswith("Composite(profit: ") and "halt: " in text and "weight=0.02" in text


class TestEdgeCases:
    @pytest.mark.parametrize("size", [1, 128])
    def test_one_sample_and_many(self, size):
        parts = made(size)
        loss, rows = total(parts)
        loss.backward()
        assert loss.isfinite() and rows["profit"]["n_valid"] == size

    @pytest.mark.parametrize("pnl", [10.0, -10.0, 100.0, -100.0])
    def test_extreme_pnl(self, pnl):
        logits, _, labels, _ = made()
        values = profit_ce(logits, labels, torch.full((4,), pnl, dtype=torch.float64)).values
        assert values.isfinite().all() and (values >= 0).all()
        expected = 0.0 if pnl > 0 else 2 * functional.cross_entropy(logits, labels, reduction="none")
        assert_close(values, expected * torch.ones_like(values))

    def test_the_published_run_in_its_corrected_numbers(self):
        """What the specification's own run prints; its table (-.87, 0, 1, 2, 2.87) contradicts it and its formula."""
        weights = profit_weights(torch.tensor([0.10, 0.05, 0.0, -0.10]), 0.05)
        assert weights.tolist() == pytest.approx([0.036, 0.238, 1.0, 1.964], abs=5e-4)
