"""The recursive model over bars: shapes, supervision, per-sample halting, and that it can learn."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch.nn import functional
from torch.testing import assert_close

from components.config_trading import TradingModel
from components.workloads.trading.model import Sizes, TradeReasoningModule, rollout, supervision_steps

SIZES = Sizes(features=5, strategies=8)
NUMBERS = {"width": 16, "layers": 1, "attention_heads": 2, "latent_updates": 2, "recursions": 1,
           "supervision_steps": 4, "no_gradient_steps": 0, "dropout": 0.0, "halt_threshold": 0.5}  # fmt: skip


def made(seed: int = 0, **numbers) -> TradeReasoningModule:
    torch.manual_seed(seed)
    model = TradeReasoningModule(TradingModel(**{**NUMBERS, **numbers}), SIZES)
    for head in (model.task, model.halting):
        torch.nn.init.normal_(head.weight)
    return model.eval()


def bars(batch: int = 6, window: int = 7) -> torch.Tensor:
    return torch.randn(batch, window, SIZES.features, generator=torch.Generator().manual_seed(3))


def test_every_supervision_step_gives_both_heads():
    model = made(no_gradient_steps=1)
    outputs = list(rollout(model, {"features": bars()}, None))
    assert len(outputs) == supervision_steps(SimpleNamespace(model=model.settings)) == 3
    for step in outputs:
        assert step["task_logits"].shape == (6, 8) and step["halt_logits"].shape == (6,)
        assert step["task_logits"].requires_grad


def test_a_fresh_model_does_not_know_when_to_halt():
    torch.manual_seed(0)
    model = TradeReasoningModule(TradingModel(**NUMBERS), SIZES)
    for step in rollout(model, {"features": bars()}, None):
        assert step["halt_logits"].tolist() == [0.0] * 6


def test_the_choice_hangs_on_the_bars_from_the_first_step():
    """With a head of zeros two equally frequent classes pull alike, and nothing reaches the bars for many epochs."""
    torch.manual_seed(0)
    model = TradeReasoningModule(TradingModel(**NUMBERS), SIZES)
    (*_, last) = rollout(model, {"features": bars()}, None)
    functional.cross_entropy(last["task_logits"], torch.tensor([0, 1, 0, 1, 0, 1])).backward()
    assert model.bars.weight.grad is not None and float(model.bars.weight.grad.abs().max()) > 1e-3


def test_inference_is_the_last_step_of_training_when_nobody_halts():
    model = made(halt_threshold=0.999999)
    (*_, last) = rollout(model, {"features": bars()}, None)
    found, steps = model.infer(bars(), 0.999999)
    assert steps.tolist() == [4] * 6
    assert_close(found["task_logits"], last["task_logits"].detach(), atol=1e-5, rtol=1e-5)


def test_each_sample_halts_at_its_own_step_with_the_answer_it_had_then():
    model, features = made(seed=5), bars(40)
    outputs = list(rollout(model, {"features": features}, None))
    every = [{name: value.detach() for name, value in step.items()} for step in outputs]
    levels = torch.stack([step["halt_logits"].sigmoid() for step in every])
    threshold = float(levels[0].median())
    found, steps = model.infer(features, threshold)
    assert len(set(steps.tolist())) > 1, "samples must differ for this to show anything"
    for i, step in enumerate(steps.tolist()):
        sure = [bool(level > threshold) for level in levels[:, i]]
        assert step == (sure.index(True) + 1 if True in sure else 4)
        assert_close(found["task_logits"][i], every[step - 1]["task_logits"][i], atol=1e-4, rtol=1e-4)
        assert_close(found["halt_logits"][i], every[step - 1]["halt_logits"][i], atol=1e-4, rtol=1e-4)


def test_a_sample_does_not_depend_on_its_companions():
    model, features = made(seed=5), bars(9)
    together, steps = model.infer(features, 0.5)
    for i in range(len(features)):
        alone, step = model.infer(features[i : i + 1], 0.5)
        assert int(step) == int(steps[i])
        assert_close(alone["task_logits"][0], together["task_logits"][i], atol=1e-5, rtol=1e-5)


def test_the_order_of_bars_matters():
    model, features = made(), bars()
    assert not torch.allclose(model.infer(features, 0.5)[0]["task_logits"],
                              model.infer(features.flip(1), 0.5)[0]["task_logits"])  # fmt: skip


def test_it_learns_which_feature_leads():
    """Label = which of the first three features of the last bar is largest: far above chance after a few steps."""
    torch.manual_seed(1)
    model = TradeReasoningModule(TradingModel(**NUMBERS), SIZES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    make = torch.Generator().manual_seed(4)
    for _ in range(120):
        features = torch.randn(128, 4, SIZES.features, generator=make)
        labels = features[:, -1, :3].argmax(-1)
        optimizer.zero_grad()
        for outputs in rollout(model, {"features": features}, None):
            functional.cross_entropy(outputs["task_logits"], labels).backward()
        optimizer.step()
    features = torch.randn(512, 4, SIZES.features, generator=make)
    model.eval()
    choice = model.infer(features, 0.5)[0]["task_logits"].argmax(-1)
    assert float((choice == features[:, -1, :3].argmax(-1)).double().mean()) > 0.8
