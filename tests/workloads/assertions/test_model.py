"""The writer: what is computed piece by piece is what is computed at once, padding and neighbours change nothing."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.testing import assert_close

from components.config_distillation import AssertionsModel
from components.modules.crossing import Pointer
from components.modules.following import MOST
from components.workloads.assertions.model import AssertionWriter, inference_parameters
from tests.workloads.assertions.small import model as sizes

VOCABULARY = 50


def writer(seed: int = 0, **other) -> AssertionWriter:
    torch.manual_seed(seed)
    return AssertionWriter(AssertionsModel.model_validate(sizes(**other)), VOCABULARY).eval()


def texts(rows: int, length: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    make = torch.Generator().manual_seed(seed)
    return (
        torch.randint(5, VOCABULARY, (rows, length), generator=make),
        torch.randint(1, 6, (rows, length), generator=make),
    )


def test_what_is_told_are_probabilities():
    model, (source, segments), (target, _) = writer(), texts(3, 9), texts(3, 5, 2)
    told, states = model.write(target, model.read(source, segments))
    assert told.dtype == torch.float32
    assert told.shape == (3, 5, VOCABULARY)
    assert states.shape == (3, 5, 32)
    assert_close(told.exp().sum(-1), torch.ones(3, 5))


@pytest.mark.parametrize("layers", [1, 2])
def test_piece_by_piece_is_as_at_once(layers):
    model, (source, segments), (target, _) = writer(decoder_layers=layers), texts(3, 9), texts(3, 6, 2)
    read = model.read(source, segments)
    at_once, _ = model.write(target, read)
    written = None
    for position in range(6):
        recent = torch.nn.functional.pad(target[:, : position + 1], (MOST, 0))[:, -MOST:]
        told, written = model.next(recent, position, read, written)
        assert_close(told, at_once[:, position], atol=1e-4, rtol=1e-4)


def test_padding_and_neighbours_change_nothing():
    model, (source, segments), (target, _) = writer(), texts(2, 7), texts(2, 4, 2)
    padded = torch.zeros(2, 11, dtype=torch.long)
    padded[:, :7] = source
    kinds = torch.zeros_like(padded)
    kinds[:, :7] = segments
    alone, _ = model.write(target[:1], model.read(source[:1], segments[:1]))
    together, _ = model.write(target, model.read(padded, kinds))
    assert_close(together[:1], alone, atol=1e-5, rtol=1e-5)


def test_nothing_looks_ahead():
    model, (source, segments), (target, _) = writer(), texts(1, 7), texts(1, 6, 2)
    read = model.read(source, segments)
    changed = target.clone()
    changed[0, 4:] = 7
    first, second = model.write(target, read)[0], model.write(changed, read)[0]
    assert first[:, :4].equal(second[:, :4])
    assert not first[:, 4:].equal(second[:, 4:])


def test_a_pointer_that_only_copies_gives_the_shares_of_the_source():
    torch.manual_seed(3)
    pointer = Pointer(8, 4)
    torch.nn.init.zeros_(pointer.seek.weight)  # looks everywhere alike
    torch.nn.init.zeros_(pointer.choose.weight)
    torch.nn.init.constant_(pointer.choose.bias, -100.0)  # never writes of its own
    tokens = torch.tensor([[3, 5, 3, 3, 0, 0]])
    leaning = torch.zeros(1, 2, 6)
    leaning[0, 1, 1] = 100.0  # the second of both is told where to look
    states, scores = torch.randn(1, 2, 8), torch.randn(1, 2, 9)
    told = pointer(states, scores, pointer.offers(torch.randn(1, 6, 8)), tokens, leaning)
    expected = torch.zeros(9)
    expected[3], expected[5] = 0.75, 0.25
    assert_close(told[0, 0].exp(), expected.clamp_min(1e-12))
    assert told[0, 1, 5] > -1e-6


def test_every_parameter_learns():
    model, (source, segments), (target, _) = writer().train(), texts(2, 8), texts(2, 5, 2)
    told, _ = model.write(target, model.read(source, segments))
    told.gather(-1, source[:, None, :5].expand(2, 5, 5)).sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


def test_the_projection_to_a_teacher_is_no_part_of_inference():
    plain = writer()
    beside = AssertionWriter(plain.settings, VOCABULARY, teacher_width=20)
    assert inference_parameters(beside) == inference_parameters(plain) == sum(p.numel() for p in plain.parameters())


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValidationError, match="multiple of twice attention_heads"):
        AssertionsModel.model_validate(sizes(width=30, attention_heads=4))
