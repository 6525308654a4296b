"""The composite: reduction, weights, schedules, nesting, refusals, reports, the gradient panel."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import EquipoiseError, Exit
from components.losses.composite import Composite, stack_steps
from components.losses.contract import Masked, Term
from components.losses.gradient_panel import effective_number, gradient_panel


def section(weight=1.0, schedule=((0.0, 1.0),), **more):
    return SimpleNamespace(weight=weight, schedule=schedule, **more)


def reads(name, **more):
    """A term whose values are the outputs of that name themselves, valid where batch["valid"] says so."""
    return Term(
        lambda outputs, batch, settings: Masked(outputs[name], batch["valid"].expand(outputs[name].shape)),
        lambda batch, settings: batch["valid"].sum(),
        needs=(name,),
        **more,
    )


def batch(*valid):
    return {"valid": torch.tensor(valid), "sample_id": torch.arange(10, 10 + len(valid))}


def values(*numbers):
    return torch.tensor(numbers, requires_grad=True)


def test_weighted_means_by_hand():
    composite = Composite({"a": reads("x"), "b": reads("y")}, SimpleNamespace(a=section(2.0), b=section(0.5)))
    labels = batch(True, False, True)
    outputs = {"x": values(1.0, 50.0, 3.0), "y": values(4.0, 50.0, 8.0)}
    loss, report = composite(outputs, labels, composite.counts([labels], 1), 0.0)
    assert float(loss.detach()) == 2.0 * 2.0 + 0.5 * 6.0
    assert report.rows() == {
        "a": {"raw": 2.0, "weight": 2.0, "share": 4.0, "n_valid": 2},
        "b": {"raw": 6.0, "weight": 0.5, "share": 3.0, "n_valid": 2},
    }
    loss.backward()
    assert outputs["x"].grad.tolist() == [1.0, 0.0, 1.0]


def test_the_terms_of_the_trm_example_sum_to_2_8655():
    raws = {"decision": 0.234, "tool": 1.456, "intent": 0.892, "q": 0.567}
    weights = SimpleNamespace(decision=section(), tool=section(), intent=section(), q=section(0.5))
    composite = Composite({name: reads(name) for name in raws}, weights)
    outputs, labels = {name: values(raw) for name, raw in raws.items()}, batch(True)
    assert float(composite(outputs, labels, composite.counts([labels], 1), 0.0)[0].detach()) == pytest.approx(2.8655)


def test_a_schedule_scales_the_weight_and_the_report_says_so():
    composite = Composite({"a": reads("x")}, {"a": section(2.0, ((0.0, 1.0), (1.0, 0.0)))})
    labels = batch(True)
    loss, report = composite({"x": values(3.0)}, labels, composite.counts([labels], 1), 0.75)
    assert float(loss.detach()) == 2.0 * 0.25 * 3.0
    assert report.rows()["a"] == {"raw": 3.0, "weight": 0.5, "share": 1.5, "n_valid": 1}


def test_normalised_weights_sum_to_one_all_along_and_keep_their_proportions():
    terms = {"a": reads("a"), "b": reads("b"), "off": reads("a")}
    falling, rising = ((0.0, 3.0), (1.0, 1.0)), ((0.0, 1.0), (1.0, 3.0))
    parts = {"a": section(1.0, falling), "b": section(2.0, rising), "off": section(0.0)}
    normalised, plain = Composite(terms, {**parts, "normalise": True}), Composite(terms, parts)
    for progress in (0.0, 0.25, 1.0):
        factors = normalised.factors(progress)
        assert sum(factors) == pytest.approx(1.0)
        whole = sum(plain.factors(progress))
        assert factors == pytest.approx([factor / whole for factor in plain.factors(progress)])
    data = batch(True, True)
    outputs = {"a": values(1.0, 3.0), "b": values(4.0, 4.0)}
    loss, report = normalised(outputs, data, normalised.counts([data], 1), 0.0)
    assert float(loss.detach()) == pytest.approx(3 / 5 * 2 + 2 / 5 * 4)
    assert report.rows()["b"]["weight"] == pytest.approx(0.4)
    shares, _ = normalised.shares(outputs, data, normalised.counts([data], 1), 0.0)
    assert float(sum(shares.values()).detach()) == pytest.approx(float(loss.detach()))


def test_weight_zero_is_reported_and_not_backpropagated():
    composite = Composite({"a": reads("x"), "b": reads("y")}, {"a": section(), "b": section(0.0)})
    labels, outputs = batch(True, True), {"x": values(1.0, 2.0), "y": values(5.0, 7.0)}
    loss, report = composite(outputs, labels, composite.counts([labels], 1), 0.0)
    loss.backward()
    assert report.rows()["b"] == {"raw": 6.0, "weight": 0.0, "share": 0.0, "n_valid": 2}
    assert outputs["y"].grad is None


def test_when_nothing_learns_the_zero_still_has_a_graph():
    composite = Composite({"a": reads("x")}, {"a": section(0.0)})
    labels, x = batch(True), values(4.0)
    loss, _ = composite({"x": x}, labels, composite.counts([labels], 1), 0.0)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert x.grad.tolist() == [0.0]


def test_a_term_of_the_last_step_alone_is_skipped_before_it():
    composite = Composite({"a": reads("x"), "b": reads("y", every_step=False)}, {"a": section(), "b": section()})
    labels = batch(True, True)
    steps = [{"x": values(1.0, 1.0)}, {"x": values(2.0, 2.0)}, {"x": values(3.0, 3.0), "y": values(7.0, 9.0)}]
    counts = composite.counts([labels], 3)
    assert {name: int(count) for name, count in counts.items()} == {"a": 6, "b": 2}
    parts = [composite(outputs, labels, counts, 0.0) for outputs in steps]
    assert sum(float(loss.detach()) for loss, _ in parts) == pytest.approx(2.0 + 8.0)
    total = parts[0][1] + parts[1][1] + parts[2][1]
    assert [row["n_valid"] for row in total.rows().values()] == [6, 2]
    stacked, report = composite(stack_steps(steps), labels, counts, 0.0)
    assert float(stacked.detach()) == pytest.approx(10.0)
    assert report.rows() == total.rows()


def test_only_last_step_terms_weighted_still_allows_backward_at_every_step():
    composite = Composite({"a": reads("x"), "b": reads("y", every_step=False)}, {"a": section(0.0), "b": section()})
    labels, x = batch(True), values(2.0)
    loss, _ = composite({"x": x}, labels, composite.counts([labels], 2), 0.0)
    loss.backward()
    assert x.grad.tolist() == [0.0]


@pytest.mark.parametrize("as_composite", [False, True])
def test_composites_nest_and_weights_multiply(as_composite):
    inner_terms = {"align": reads("x"), "roi": reads("y")}
    inner_settings = {"weight": 0.3, "schedule": ((0.0, 1.0),), "align": section(1.0), "roi": section(0.2)}
    encoder = SimpleNamespace(**inner_settings)
    inner = Composite(inner_terms, encoder) if as_composite else inner_terms
    composite = Composite({"encoder": inner, "text": reads("z")}, SimpleNamespace(encoder=encoder, text=section(1.0)))
    labels = batch(True, True)
    outputs = {"x": values(1.0, 3.0), "y": values(10.0, 10.0), "z": values(1.0, 1.0)}
    loss, report = composite(outputs, labels, composite.counts([labels], 1), 0.0)
    assert composite.names == ("encoder/align", "encoder/roi", "text")
    assert float(loss.detach()) == pytest.approx(0.3 * (2.0 + 0.2 * 10.0) + 1.0)
    assert report.rows()["encoder/roi"]["weight"] == pytest.approx(0.06)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-100, 100, width=32), st.booleans()), min_size=1, max_size=12), st.data())
def test_any_cut_into_micro_batches_gives_the_same_loss(samples, data):
    composite = Composite({"a": reads("x")}, {"a": section(0.7)})
    cut = data.draw(st.integers(0, len(samples)))
    parts = [part for part in (samples[:cut], samples[cut:]) if part]
    batches = [batch(*(ok for _, ok in part)) for part in parts]
    counts = composite.counts(batches, 1)
    pieces = [
        float(composite({"x": values(*(v for v, _ in part))}, labels, counts, 0.0)[0].detach())
        for part, labels in zip(parts, batches, strict=True)
    ]
    kept = [v for v, ok in samples if ok]
    assert sum(pieces) == pytest.approx(0.7 * sum(kept) / len(kept) if kept else 0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("terms", "settings", "rule"),
    [
        ({"ast": reads("x", has_gradient=False)}, {"ast": section()}, r"E_LOSS_TERM loss\.ast: is a metric"),
        ({"a": {"b": reads("x", has_gradient=False)}}, {"a": SimpleNamespace(b=section())}, r"loss\.a/b: is a metric"),
        ({"a": reads("x")}, {}, r"E_LOSS_TERM loss\.a: every loss term needs its weight"),
    ],
)
def test_what_cannot_be_a_loss_is_refused(terms, settings, rule):
    with pytest.raises(EquipoiseError, match=rule) as refusal:
        Composite(terms, settings)
    assert refusal.value.exit_code == Exit.CONFIGURATION


def test_totals_of_nested_composites_by_hand():
    terms = {"encoder": {"a": reads("x"), "b": reads("y")}, "decoder": {"c": reads("z")}}
    settings = {
        "encoder": section(0.3, a=section(1.0), b=section(0.2)),
        "decoder": section(2.0, ((0.0, 1.0), (1.0, 0.0)), c=section(0.5)),
    }
    composite, labels = Composite(terms, settings), batch(True)
    outputs = {"x": values(4.0), "y": values(5.0), "z": values(6.0)}
    loss, report = composite(outputs, labels, composite.counts([labels], 1), 0.5)
    totals = composite.totals(report.rows(), 0.5)
    assert totals["encoder"] == pytest.approx({"raw": 4 + 0.2 * 5, "weight": 0.3, "share": 1.5})
    assert totals["decoder"] == pytest.approx({"raw": 0.5 * 6, "weight": 1.0, "share": 3.0})
    assert totals["total"]["raw"] == pytest.approx(float(loss.detach())) == 4.5
    flat = Composite({"a": reads("x")}, {"a": section()})
    assert flat.totals({"a": {"raw": 1.0, "share": 1.0}}, 0.5) == {}


def test_as_many_micro_batches_as_ranks_see_each_other():
    terms, labels = {"a": reads("x", compares_samples=True)}, batch(True)
    composite = Composite(terms, {"a": section()})
    assert int(composite.counts([labels, labels], 1, ranks=2)["a"]) == 2
    with pytest.raises(EquipoiseError, match="4 micro-batches on 2 ranks"):
        composite.counts([labels] * 4, 1, ranks=2)


def test_terms_that_compare_samples_refuse_micro_batches_unless_asked():
    terms, labels = {"a": reads("x", compares_samples=True)}, batch(True)
    composite = Composite(terms, {"a": section()})
    assert int(composite.counts([labels], 1)["a"]) == 1
    with pytest.raises(EquipoiseError, match="compares samples") as refusal:
        composite.counts([labels, labels], 1)
    assert refusal.value.exit_code == Exit.CONFIGURATION
    asked = Composite(terms, {"a": section(within_micro_batch=True)})
    assert int(asked.counts([labels, labels], 1)["a"]) == 2


def test_a_weighted_term_without_its_output_is_refused_and_an_unweighted_one_is_not():
    labels = batch(True)
    with pytest.raises(EquipoiseError, match=r"E_LOSS_OUTPUT loss\.a: the model must give x") as refusal:
        composite = Composite({"a": reads("x")}, {"a": section()})
        composite({"y": values(1.0)}, labels, composite.counts([labels], 1), 0.0)
    assert refusal.value.exit_code == Exit.CONFIGURATION
    silent = Composite({"a": reads("x")}, {"a": section(0.0)})
    loss, report = silent({"y": values(1.0)}, labels, silent.counts([labels], 1), 0.0)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert report.rows()["a"]["n_valid"] == 0


def test_invalid_values_may_be_anything():
    composite = Composite({"a": reads("x")}, {"a": section()})
    labels, x = batch(True, False, False), values(2.0, float("nan"), float("inf"))
    loss, report = composite({"x": x}, labels, composite.counts([labels], 1), 0.0)
    loss.backward()
    assert float(loss.detach()) == 2.0
    assert x.grad.tolist() == [1.0, 0.0, 0.0]
    assert report.nonfinite() == []


def test_the_culprit_is_found_by_replaying_and_its_absence_still_stops():
    composite = Composite({"a": reads("x"), "b": reads("y")}, {"a": section(), "b": section(0.0)})
    labels = [batch(True, True), {"valid": torch.tensor([True, True]), "sample_id": torch.tensor([70, 71])}]
    outputs = [{"x": values(1.0, 1.0), "y": values(1.0, 1.0)}, {"x": values(1.0, 1.0), "y": values(1.0, float("inf"))}]
    counts = composite.counts(labels, 1)
    reports = [composite(o, b, counts, 0.0)[1] for o, b in zip(outputs, labels, strict=True)]
    total = reports[0] + reports[1]
    with pytest.raises(EquipoiseError, match=r"E_NONFINITE loss\.b at step 12, samples 71: .* got inf"):
        composite.check_finite(total, 12, zip(outputs, labels, strict=True))
    with pytest.raises(EquipoiseError, match=r"E_NONFINITE loss\.b at step 12"):
        composite.check_finite(total, 12, [(outputs[0], labels[0])])


def test_autocast_does_not_reach_the_terms():
    def product(outputs, batch, settings):
        return Masked((outputs["x"] @ outputs["x"]).diagonal(), batch["valid"])

    composite = Composite({"a": Term(product, lambda b, s: b["valid"].sum())}, {"a": section()})
    labels, x = batch(True, True), torch.tensor([[1.001, 0.0], [0.0, 1.001]], requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = composite({"x": x}, labels, composite.counts([labels], 1), 0.0)
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(1.001**2, rel=1e-6)


def test_gradient_panel_by_hand():
    w = torch.tensor([1.0, 1.0], requires_grad=True)
    terms = {"a": reads("x"), "b": reads("y"), "c": reads("z"), "off": reads("x"), "flat": reads("k")}
    weights = {"a": section(3.0), "b": section(1.0), "c": section(4.0), "off": section(0.0), "flat": section()}
    composite = Composite(terms, weights)
    labels = batch(True)
    outputs = {"x": w[:1], "y": -w[:1], "z": w[1:], "k": values(1.0)}
    counts = composite.counts([labels], 1)
    panel = gradient_panel(composite, [(labels, outputs)], counts, 0.0, [w])
    assert panel.norms == {"a": 3.0, "b": 1.0, "c": 4.0, "flat": 0.0}
    assert panel.shares == {"a": 0.375, "b": 0.125, "c": 0.5, "flat": 0.0}
    assert panel.cosines == {("a", "b"): -1.0, ("a", "c"): 0.0, ("b", "c"): 0.0}
    rows = panel.rows()
    assert rows["gradients"]["c"] == {"norm": 4.0, "share": 0.5}
    assert rows["cosines"] == {"a": {"b": -1.0, "c": 0.0}, "b": {"c": 0.0}}
    assert rows["effective_terms"] == pytest.approx(2.0 ** (0.375 * math.log2(8 / 3) + 0.125 * 3 + 0.5))
    composite(outputs, labels, counts, 0.0)[0].backward()
    assert w.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("shares", "number"),
    [([0.25] * 4, 4.0), ([1.0, 0.0], 1.0), ([3.0], 1.0), ([0.5, 0.25, 0.25], 2.0**1.5), ([2.0, 2.0], 2.0)],
)
def test_the_effective_number_of_terms(shares, number):
    assert effective_number(shares) == pytest.approx(number)


def test_gradient_panel_compares_what_terms_share():
    """Head x belongs to a alone, so it is left out; alone in the run, a has all parameters for itself."""
    shared, head = torch.tensor([1.0], requires_grad=True), torch.tensor([1.0, 1.0], requires_grad=True)
    labels = batch(True)
    outputs = {"x": (3 * shared + 4 * head[:1]), "y": shared * 1.0}
    both = Composite({"a": reads("x"), "b": reads("y")}, {"a": section(1.0), "b": section(9.0)})
    counts = both.counts([labels], 1)
    panel = gradient_panel(both, [(labels, outputs)], counts, 0.0, [shared, head])
    assert panel.norms == {"a": 3.0, "b": 9.0}
    assert panel.shares == {"a": 0.25, "b": 0.75}
    alone = Composite({"a": reads("x")}, {"a": section(1.0)})
    assert gradient_panel(alone, [(labels, outputs)], counts, 0.0, [shared, head]).norms == {"a": 5.0}
    assert shared.grad is None and head.grad is None


def test_gradient_panel_adds_supervision_steps_up_before_it_measures():
    """Two steps that pull in opposite directions leave nothing; a term without labels says nothing."""
    w = torch.tensor([1.0], requires_grad=True)
    terms = {"a": reads("x"), "b": reads("y"), "none": reads("z")}
    composite = Composite(terms, {name: section(1.0) for name in terms})
    labels = batch(True)
    steps = [{"x": w * 2.0, "y": w * 4.0, "z": w * 1.0}, {"x": w * -2.0, "y": w * 8.0, "z": w * 1.0}]
    counts = {"a": torch.tensor(2), "b": torch.tensor(2), "none": torch.tensor(0)}
    panel = gradient_panel(composite, [(labels, outputs) for outputs in steps], counts, 0.0, [w])
    assert panel.norms == {"a": 0.0, "b": 6.0}
    assert panel.shares == {"a": 0.0, "b": 1.0}
    assert panel.cosines == {}
