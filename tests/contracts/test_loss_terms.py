"""What every loss term of every workload promises (the loss contract), term by term."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from components.errors import EquipoiseError, Exit
from components.losses.composite import Composite, stack_steps
from tests.contracts.loss_cases import BY_ITSELF, CASES, EACH_TERM, IDS, big_gradient, single

ROWS = range(6)
PARTS = ([0], [1, 2], [3, 4, 5])
each_term = pytest.mark.parametrize(("case", "name"), EACH_TERM, ids=IDS)
each_by_itself = pytest.mark.parametrize(("case", "name"), BY_ITSELF, ids=[f"{c.name}: {n}" for c, n in BY_ITSELF])
each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@each_term
def test_values_are_unreduced_and_the_count_is_that_of_the_mask(case, name):
    term, settings, batch = case.terms[name], getattr(case.settings, name), case.collate(ROWS)
    values, valid = term.loss(case.rollout(case.parameters(), batch, 2)[-1], batch, settings)
    assert values.shape == valid.shape
    assert values.numel() > 1
    assert valid.dtype == torch.bool
    assert int(term.count(batch, settings)) == int(valid.sum()) > 0


@each_term
def test_the_mask_reads_labels_only(case, name):
    term, settings, batch = case.terms[name], getattr(case.settings, name), case.collate(ROWS)
    outputs = case.rollout(case.parameters(), batch, 1)[-1]
    other = {key: value.detach() * 2 - 1 for key, value in outputs.items()}
    assert term.loss(outputs, batch, settings).valid.equal(term.loss(other, batch, settings).valid)


@each_by_itself
def test_micro_batches_add_up_to_the_gradient_of_one_big_batch(case, name):
    composite = single(case, name)
    whole, parts = big_gradient(composite, case, [ROWS], 1), big_gradient(composite, case, PARTS, 1)
    assert any(g.abs().max() > 0 for g in whole)
    assert_close(parts, whole)


@each_term
def test_supervision_steps_average(case, name):
    """Backward per step, all steps stacked, and the specification's mean over steps are the same gradient."""
    composite, steps, batch = single(case, name), 3, case.collate(ROWS)
    term, settings = case.terms[name], getattr(case.settings, name)
    parameters = case.parameters()
    rollout = case.rollout(parameters, batch, steps)
    stacked, report = composite(stack_steps(rollout), batch, composite.counts([batch], steps), 0.5)
    plain = torch.zeros(())
    for outputs in rollout if term.every_step else rollout[-1:]:
        values, valid = term.loss(outputs, batch, settings)
        plain = plain + values[valid].mean() / (steps if term.every_step else 1)
    expected = torch.autograd.grad(plain * settings.weight, parameters, retain_graph=True, allow_unused=True)
    found = torch.autograd.grad(stacked, parameters, allow_unused=True)
    zeros = [torch.zeros_like(p) for p in parameters]
    expected, found = ([z if g is None else g for g, z in zip(gs, zeros, strict=True)] for gs in (expected, found))
    assert_close(found, expected)
    assert_close(big_gradient(composite, case, [ROWS], steps), expected)
    assert report.rows()[name]["raw"] == pytest.approx(float(plain.detach()))


@each_by_itself
def test_padding_changes_no_value(case, name):
    term, settings = case.terms[name], getattr(case.settings, name)
    parameters = case.parameters()

    def valid_values(rows):
        batch = case.collate(rows)
        values, valid = term.loss(case.rollout(parameters, batch, 1)[-1], batch, settings)
        return values[valid]

    assert_close(valid_values(ROWS), torch.cat([valid_values([row]) for row in ROWS]))


@each_term
def test_nothing_valid_is_an_exact_zero_with_a_graph(case, name):
    batch = case.unlabel(case.collate(ROWS))
    parameters = case.parameters()
    composite = single(case, name)
    counts = composite.counts([batch], 1)
    loss, report = composite(case.rollout(parameters, batch, 1)[-1], batch, counts, 0.5)
    assert (int(counts[name]) == 0) == (name in case.optional)
    if name in case.optional:
        assert float(loss.detach()) == 0.0
        assert report.rows()[name]["n_valid"] == 0
    loss.backward()
    gradients = [p.grad for p in parameters if p.grad is not None]
    assert gradients
    assert all(g.isfinite().all() for g in gradients)
    assert (name in case.optional) == all(g.abs().max() == 0 for g in gradients)


@each_term
@pytest.mark.parametrize("kind", ["large", "opposite", "bf16"])
def test_extremes_stay_finite_in_full_precision(case, name, kind):
    term, settings, batch = case.terms[name], getattr(case.settings, name), case.collate(ROWS)
    leaves = {}
    for key, value in case.rollout(case.parameters(), batch, 1)[-1].items():
        sign = value.detach().nan_to_num(0.0, 0.0, 0.0).sign() * (1 if kind == "large" else -1)
        extreme = value.detach().bfloat16() if kind == "bf16" else (sign * 1e4).float()
        leaves[key] = extreme.masked_fill(value.isinf(), -torch.inf).requires_grad_()
    values, valid = term.loss(leaves, batch, settings)
    assert values.dtype == torch.float32
    assert values[valid].isfinite().all()
    gradients = torch.autograd.grad(values[valid].sum(), list(leaves.values()), allow_unused=True)
    assert all(g is None or g.isfinite().all() for g in gradients)
    assert any(g is not None for g in gradients)


@each_term
def test_a_non_finite_value_stops_and_names_term_step_and_samples(case, name):
    composite, batch = single(case, name), case.collate(ROWS)
    outputs = dict(case.rollout(case.parameters(), batch, 1)[-1])
    _, valid = case.terms[name].loss(outputs, batch, getattr(case.settings, name))
    key = case.terms[name].needs[0]
    broken = outputs[key].detach().clone()
    entry = int(valid.flatten(1).any(1).nonzero()[-1] if valid.dim() > 1 else valid.nonzero()[-1])
    broken[entry] = torch.nan  # a labelled sample, or a row with a labelled query
    outputs[key] = broken
    values, _ = case.terms[name].loss(outputs, batch, getattr(case.settings, name))
    _, report = composite(outputs, batch, composite.counts([batch], 1), 0.5)
    with pytest.raises(EquipoiseError, match=rf"E_NONFINITE loss\.{name} at step 7") as stop:
        composite.check_finite(report, 7, [(outputs, batch)])
    assert stop.value.exit_code == Exit.BAD_DATA
    if case.terms[name].compares_samples and bool(values[valid].isnan().all()):
        assert "samples " in str(stop.value)  # one NaN reaches everybody whom it is compared with
        return
    samples = len(valid) == len(batch["sample_id"])
    blamed = batch["sample_id"][entry : entry + 1] if samples else batch["sample_id"][batch["sample_row"] == entry]
    assert f"samples {', '.join(map(str, blamed.tolist()))}:" in str(stop.value)


@each_term
def test_a_finite_report_passes_without_reading_anything_again(case, name):
    composite, batch = single(case, name), case.collate(ROWS)
    _, report = composite(case.rollout(case.parameters(), batch, 1)[-1], batch, composite.counts([batch], 1), 0.5)
    again = iter([pytest.fail])
    composite.check_finite(report, 1, again)
    assert next(again) is pytest.fail


@each_case
def test_all_terms_together_in_any_parts(case):
    composite = Composite({n: t for n, t in case.terms.items() if not t.compares_samples}, case.settings)
    whole, parts = big_gradient(composite, case, [ROWS], 3), big_gradient(composite, case, PARTS, 3)
    alone = len(composite.names) == len(case.terms)
    assert all(g.abs().max() > 0 for g in whole) or not alone
    assert_close(parts, whole)
