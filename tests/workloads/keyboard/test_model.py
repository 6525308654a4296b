"""The keyboard's model: causal, blind where there is no screen, and the same whether read at once or piece by piece."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from components.workloads.keyboard.batches import collate
from components.workloads.keyboard.model import MIXED, Keyboard
from tests.workloads.keyboard.small_arrays import VOCABULARY, sizes, small_split


def fresh(seed: int = 0, **changes) -> Keyboard:
    torch.manual_seed(seed)
    model = Keyboard(sizes(**changes), VOCABULARY)
    for layer in (model.told, model.wanted, model.experts.down):
        torch.nn.init.normal_(layer.weight, std=0.3)  # as after training: at the start they add nothing
    return model.eval()


def batch(rows=(0, 2)):
    return collate(small_split(), np.array(rows))


def test_outputs_have_the_shapes_the_losses_expect():
    outputs = fresh()(batch())
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {
        "task_logits": (5, 3),
        "layout_logits": (5, 5),
        "gate_logits": (5, 5),
        "text_feature": (5, 8),
        "written": (6, 17),  # the valid targets: 3 + 1 + 2
        "table": (VOCABULARY, 17),
        "screen_feature": (5, 8),
        "region_features": (5, 4, 8),
    }


def test_what_comes_later_in_the_message_changes_nothing():
    model, tokens = fresh(), torch.tensor([[1, 5, 6, 7]])
    later = torch.tensor([[1, 5, 9, 10]])
    assert_close(model.read(tokens)[:, :2], model.read(later)[:, :2])
    assert not torch.allclose(model.read(tokens)[:, 2], model.read(later)[:, 2])


def test_the_bag_holds_the_message_alone():
    model = fresh()
    torch.nn.init.zeros_(model.reads.weight)
    torch.nn.init.zeros_(model.length.weight)
    histories = torch.tensor([[1, 5, 6, 2, 9, 10], [1, 9, 6, 2, 9, 10]])
    states = model.read(histories)
    assert_close(states[0, 4:], states[1, 4:])
    pairs = (torch.tensor([2, 9]) * MIXED + torch.tensor([9, 10])) % 32
    mean = (model.bag.weight[[9, 10]] + model.pairs.weight[pairs]).mean(0)
    assert_close(states[0, 5], model.bagged(mean) + model.reads.bias)
    assert not torch.allclose(states[0, 2], states[1, 2])


def test_padding_and_company_change_no_event():
    model = fresh()
    together, alone = model(batch()), model(batch([2]))
    assert_close(together["layout_logits"][3:], alone["layout_logits"])
    assert_close(together["written"][4:], alone["written"])
    assert_close(together["screen_feature"][3], alone["screen_feature"][0])


def test_the_written_words_come_from_the_states_of_the_message_itself():
    model, given = fresh(), batch()
    states = model.read(given["tokens"])
    at = states[given["row"], given["position"]]
    seen = model.see(given["screens"], given["boxes"])
    answers = model.decide(at, given["typed"], given["layout"], seen, given["screen"])
    second = model.write(states[:1, 1], answers["context"][:1], answers["gate_logits"][:1])
    assert_close(model(given)["written"][1:2], second)  # event 0 stands at piece 0: its second target follows piece 1


def test_a_missing_screen_is_not_the_first_screen():
    model, given = fresh(), batch()
    other = {**given, "screens": 255 - given["screens"]}
    found, changed = model(given), model(other)
    blind = given["screen"] < 0
    assert blind.tolist() == [False, True, False, False, True]
    assert_close(found["task_logits"][blind], changed["task_logits"][blind])
    assert not torch.allclose(found["task_logits"][~blind], changed["task_logits"][~blind])


def test_a_lost_screen_is_as_good_as_none():
    given = batch()
    model = fresh(screen_dropout=0.999999).train()
    without = fresh(screen_dropout=0.999999)({**given, "screen": torch.full_like(given["screen"], -1)})
    lost = model(given)
    assert_close(lost["task_logits"], without["task_logits"])
    assert lost["screen_feature"].abs().sum() > 0  # what is compared does not lose it


def test_without_a_reader_of_screens_nothing_is_compared():
    outputs = fresh(image=False)(batch())
    assert "screen_feature" not in outputs
    assert "text_feature" in outputs


def test_top_k_routing_writes_with_the_asked_experts_alone():
    model, given = fresh(experts_used=1), batch()
    outputs = model(given)
    chosen = outputs["gate_logits"][(given["target"] >= 0).nonzero()[:, 0]].argmax(-1)
    others = torch.tensor([i for i in range(5) if i not in chosen])
    model.experts.down.weight.data.view(16, 5, 8)[:, others] += 1.0
    assert_close(model(given)["written"], outputs["written"])


@pytest.mark.parametrize("typed", ["", "he", "你"])
def test_every_typed_word_counts(typed):
    model = fresh()
    ids = torch.zeros(1, 24, dtype=torch.long)
    for i, byte in enumerate(typed.encode()):
        ids[0, i] = byte + 1
    other = ids.clone()
    other[0, len(typed.encode())] = ord("x") + 1
    state, layout, none = torch.zeros(1, 16), torch.zeros(1, dtype=torch.long), torch.tensor([-1])
    answers = [model.decide(state, each, layout, None, none)["task_logits"] for each in (ids, other)]
    assert not torch.allclose(*answers)
