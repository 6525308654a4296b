"""Load balance: how far the experts' use of a batch is from equal shares."""

from __future__ import annotations

from torch import Tensor

from components.losses.contract import Masked
from components.losses.precision import full
from components.losses.ranks import sum_of_ranks


def load_balance(gates: Tensor, alone: bool = False) -> Masked:
    """The squared distance of the experts' mean use f to equal use, sum over i of (f_i - 1/n)^2, as a mean of samples.

    Because every sample's gates sum to 1, that is the mean of <gates of the sample, f> - 1/n: a value a sample, which
    says how much it leans on experts that the batch leans on. With n = 5 experts the mean is .8 when one does all, .3
    when two share all, and 0 when all are used alike. f is that of the samples of all ranks.

    Args:
        gates: [B, n] routing probabilities.
        alone: whether f is that of this rank's samples; else every rank must come here equally often.

    Returns:
        values and valid [B], all valid.
    """
    gates = full(gates)
    total, samples = gates.sum(0), gates.new_full((), len(gates))
    if not alone:
        total, samples = sum_of_ranks(total), sum_of_ranks(samples)
    values = gates @ (total / samples.clamp(min=1)) - 1 / gates.shape[-1]
    return Masked(values, gates.new_ones(len(gates)).bool())
