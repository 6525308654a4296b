"""How two kernels that torch.vmap has no rule for run over a stack: attention and the recurrence of a GRU.

Registered once, when this module is imported; ordinary calls never come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._functorch.autograd_function import custom_function_call_vmap_helper
from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter

from components.losses.gradients import lanes_first


def attention(
    info: Any,
    in_dims: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    causal: bool,
    scale: float | None,
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    """The CPU's fused attention of K stacks [K, B, heads, L, d] in one call: values and their log-sums.

    Where the mask is the same for every sample, lanes become samples, which copies nothing; where it is not, they
    become heads, so that there is one mask a sample and not one a sample and lane.
    """
    if mask is not None and in_dims[3] is not None:
        raise RuntimeError("attention masks that differ between the lanes of a stack are not computed together")
    size, lanes = info.batch_size, lanes_first(info.batch_size, in_dims[:3], query, key, value)
    if mask is None or mask.dim() < 4 or mask.shape[0] == 1:
        q, k, v = (x.flatten(0, 1) for x in lanes)
        found, sums = _fused(q, k, v, mask, dropout, causal, scale)
        return (found.unflatten(0, (size, -1)), sums.unflatten(0, (size, -1))), (0, 0)
    q, k, v = (x.transpose(0, 1).flatten(1, 2) for x in lanes)
    found, sums = _fused(q, k, v, mask, dropout, causal, scale)
    return (found.unflatten(1, (size, -1)), sums.unflatten(1, (size, -1))), (1, 1)


def _fused(query: Tensor, key: Tensor, value: Tensor, mask: Any, dropout: Any, causal: Any, scale: Any) -> Any:
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return kernel(query, key, value, dropout, causal, attn_mask=mask, scale=scale)


def _attention_of_stack(
    _keys: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> Any:
    """What torch.library.register_vmap would register, were it not that it refuses a mask given by name."""
    level = retrieve_current_functorch_interpreter()
    given = (query, key, value, attn_mask, dropout, causal, scale)
    return custom_function_call_vmap_helper(level, attention, _fused, *given)  # pyright: ignore[reportArgumentType]


def gru(
    info: Any,
    in_dims: Any,
    x: Tensor,
    state: Tensor,
    parameters: Sequence[Tensor],
    has_biases: bool,
    layers: int,
    dropout: float,
    training: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    """A GRU of K stacks: inputs [K, B, L, D], states [K, layers, B, D], as torch.nn.GRU computes each.

    The products with the inputs are taken for all positions at once; what remains for a position is one product with
    the state.
    """
    if bidirectional or not batch_first or not has_biases or (dropout and training):
        raise RuntimeError("only a GRU in one direction, with biases, samples first and no dropout can be stacked")
    size = info.batch_size
    x, state = lanes_first(size, in_dims[:2], x, state)
    own = lanes_first(size, in_dims[2], *parameters)
    last = []
    for layer in range(layers):
        by_input, by_state, input_bias, state_bias = own[4 * layer : 4 * layer + 4]
        ahead = (x.flatten(1, 2) @ by_input.mT + input_bias.unsqueeze(1)).unflatten(1, x.shape[1:3])
        x, final = _recurrence(ahead, state[:, layer], by_state.mT, state_bias.unsqueeze(1))
        last.append(final)
    return (x, torch.stack(last, dim=1)), (0, 0)


def _recurrence(ahead: Tensor, state: Tensor, by_state: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """ahead [K, B, L, 3 D] of the inputs, state [K, B, D] -> states [K, B, L, D] and the last one."""
    states = []
    for of_input in ahead.unbind(2):
        reset, update, new = of_input.chunk(3, -1)
        own_reset, own_update, own_new = torch.baddbmm(bias, state, by_state).chunk(3, -1)
        candidate = torch.tanh(new + torch.sigmoid(reset + own_reset) * own_new)
        state = candidate + torch.sigmoid(update + own_update) * (state - candidate)
        states.append(state)
    return torch.stack(states, dim=2), state


_RULES = torch.library.Library("aten", "IMPL")  # it takes its rules back when it is collected
_RULES.impl("_scaled_dot_product_flash_attention_for_cpu", _attention_of_stack, "FuncTorchBatched", with_keyset=True)
torch.library.register_vmap("aten::gru.input", gru, lib=_RULES)
