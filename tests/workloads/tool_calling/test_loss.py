"""The terms of tool calling as params.yaml names them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from components.config import load_config
from components.errors import EquipoiseError, Exit
from components.losses.composite import Composite
from components.workloads.tool_calling.loss import TERMS

PARAMS = Path(__file__).parents[3] / "params.yaml"
BATCH = {"decision": torch.tensor([1.0, 0.0, 0.0, 0.0]), "tool": torch.tensor([1, -1, -1, -1])}


def test_one_term_per_entry_of_the_loss_section_in_its_order():
    loss = load_config(PARAMS).tool_calling.loss
    assert list(TERMS) == list(type(loss).model_fields)
    assert Composite(TERMS, loss).names == tuple(TERMS)


def test_only_the_spans_wait_for_the_last_supervision_step():
    assert [name for name, term in TERMS.items() if not term.every_step] == ["slot_span", "arg_span"]


@pytest.mark.parametrize("alpha", [0.25, "auto", None])
def test_alpha(alpha):
    outputs = {"decision_logits": torch.zeros(4)}
    batch = BATCH | {"tool_call_share": torch.tensor(0.25)}
    values, valid = TERMS["decision"].loss(outputs, batch, SimpleNamespace(alpha=alpha, gamma=0.0))
    call, answer = {0.25: (0.25, 0.75), "auto": (0.75, 0.25), None: (1.0, 1.0)}[alpha]
    ln2 = 0.69314718
    assert values.tolist() == pytest.approx([call * ln2] + [answer * ln2] * 3)
    assert valid.all()
    if alpha == "auto":
        assert float(values[0]) == pytest.approx(float(values[1:].sum()))


def test_alpha_auto_without_the_share_is_refused():
    with pytest.raises(EquipoiseError, match=r"E_CONFIG loss\.decision\.alpha") as refusal:
        TERMS["decision"].loss({"decision_logits": torch.zeros(4)}, BATCH, SimpleNamespace(alpha="auto", gamma=2.0))
    assert refusal.value.exit_code == Exit.CONFIGURATION


def test_q_can_ask_for_the_tool_too():
    outputs = {
        "decision_logits": torch.tensor([3.0, -3.0, 3.0, -3.0]),
        "tool_logits": torch.tensor([[2.0, 1.0], [2.0, 1.0], [2.0, 1.0], [-torch.inf, -torch.inf]]),
        "q_logits": torch.full((4,), 20.0),
    }
    right = TERMS["q"].loss(outputs, BATCH, SimpleNamespace(target="decision")).values < 1
    both = TERMS["q"].loss(outputs, BATCH, SimpleNamespace(target="decision_and_tool")).values < 1
    assert right.tolist() == [True, True, False, True]
    assert both.tolist() == [False, True, False, True]


def test_no_tools_and_no_intents_at_all():
    outputs = {"tool_logits": torch.zeros(4, 0), "intent_logits": torch.zeros(4, 0, requires_grad=True)}
    batch = {"tool": torch.full((4,), -1), "intent": torch.full((4,), -1)}
    for name in ("tool", "intent"):
        values, valid = TERMS[name].loss(outputs, batch, SimpleNamespace(gamma=2.0))
        assert values.tolist() == [0.0] * 4
        assert not valid.any()


def test_content_without_labels_counts_nothing():
    outputs = {"content_logits": torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))}
    values, valid = TERMS["content"].loss(outputs, BATCH, SimpleNamespace())
    assert int(TERMS["content"].count(BATCH, SimpleNamespace())) == 0
    assert values.shape == (4, 3)
    assert not valid.any()
