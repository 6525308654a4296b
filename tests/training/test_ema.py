"""The moving average against numbers worked by hand."""

import pytest
import torch
from torch import nn

from components.training.ema import decay_at, pairs, update


@pytest.mark.parametrize(
    ("step", "decay", "expected"),
    [(1, 0.999, 2 / 11), (8, 0.999, 0.5), (90, 0.999, 0.91), (10_000, 0.999, 0.999), (1, 0.0, 0.0), (90, 0.5, 0.5)],
)
def test_decay_ramps_up_to_its_value(step: int, decay: float, expected: float) -> None:
    assert decay_at(step, decay) == pytest.approx(expected)


def test_update_by_hand() -> None:
    average, model = nn.Linear(1, 1), nn.Linear(1, 1)
    with torch.no_grad():
        average.weight.fill_(1.0), average.bias.fill_(-2.0)
        model.weight.fill_(3.0), model.bias.fill_(2.0)
    update(pairs(average, model), 0.75)
    assert average.weight.item() == pytest.approx(0.75 * 1.0 + 0.25 * 3.0)
    assert average.bias.item() == pytest.approx(0.75 * -2.0 + 0.25 * 2.0)
    assert model.weight.item() == 3.0


def test_buffers_are_copied_and_no_graph_is_built() -> None:
    average, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    model(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    update(pairs(average, model), 0.9)
    assert torch.equal(average.running_mean, model.running_mean)
    assert average.num_batches_tracked.item() == 1
    assert all(p.grad_fn is None for p in average.parameters())
