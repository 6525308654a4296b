"""The composite: the one place where loss values are reduced, weighted and added.

A term's share of the loss is weight x factor(progress) x sum(values[valid]) / count, where the count is that of a whole
optimizer step: all its micro-batches, supervision steps and ranks. So the backward passes of the parts simply add up
(SUM, never mean) to the gradient of one big batch. How one optimizer step reads:

    composite = Composite(terms, section.loss)
    counts = composite.counts(micro_batches, supervision_steps)     # all-reduce with SUM over ranks
    for batch in micro_batches:
        for outputs in rollout(model, batch):                       # or once, with stack_steps(all outputs)
            loss, report = composite(outputs, batch, counts, progress)
            loss.backward()
            total = report if total is None else total + report
    again = ((outputs, batch) for batch in micro_batches for outputs in rollout(model, batch))
    composite.check_finite(total, step, again)      # the step's only wait; `again` is read only to name a culprit
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from components.errors import EquipoiseError, bad_data, misconfigured
from components.losses.contract import Batch, Masked, Outputs, Term
from components.losses.schedules import factor_at


@dataclass(frozen=True)
class Leaf:
    """A term of a (nested) composite: `name` is its path, `chain` the sections that scale it, outermost first."""

    name: str
    term: Term
    settings: Any
    chain: tuple[Any, ...]

    def factor(self, progress: float) -> float:
        """weight x schedule at `progress`, multiplied along the nesting."""
        factor = 1.0
        for section in self.chain:
            factor *= section.weight * factor_at(section.schedule, progress)
        return factor

    @property
    def weighted(self) -> bool:
        """Whether no weight along the nesting is 0."""
        return all(section.weight > 0 for section in self.chain)

    def given(self, outputs: Outputs) -> bool:
        """Whether these outputs hold all that the term reads."""
        return all(name in outputs for name in self.term.needs)


@dataclass(frozen=True)
class Report:
    """Detached sums [T] and numbers [T] of valid values per term; reports of one run add up, in any order.

    The tensors stay on the loss's device: nothing waits for it until `rows` is called. Ranks are joined by an
    all-reduce (SUM) of `sums` and `numbers`.
    """

    names: tuple[str, ...]
    factors: tuple[float, ...]
    sums: Tensor
    numbers: Tensor

    def __add__(self, later: Report) -> Report:
        return Report(self.names, later.factors, self.sums + later.sums, self.numbers + later.numbers)

    def nonfinite(self) -> list[str]:
        """Names of the terms with a NaN or inf among their valid values. Waits for the device."""
        return [name for name, fine in zip(self.names, self.sums.isfinite().tolist(), strict=True) if not fine]

    def rows(self) -> dict[str, dict[str, float | int]]:
        """What is logged: name -> raw mean, weight in force, share = weight x raw (they sum to the loss), n_valid."""
        rows: dict[str, dict[str, float | int]] = {}
        for name, factor, total, number in zip(
            self.names, self.factors, self.sums.tolist(), self.numbers.tolist(), strict=True
        ):
            raw = total / number if number else 0.0
            rows[name] = {"raw": raw, "weight": factor, "share": factor * raw, "n_valid": int(number)}
        return rows


class Composite:
    """A mapping name -> (term, weight, schedule), callable as the loss of one supervision step of one micro-batch.

    Args:
        terms: name -> Term, or name -> mapping or Composite of further terms (an encoder's, a decoder's).
        settings: section with one attribute (or key) per name, holding `weight`, `schedule` and the term's own numbers;
            a nested composite's section holds its terms' sections as well. `normalise`: true scales the factors of
            the moment so that they sum to 1; measures carry no gradient, are refused and so never take part.

    Raises:
        EquipoiseError: E_LOSS_TERM (78) for a term that carries no gradient, or a term without settings.
    """

    def __init__(self, terms: Mapping[str, Any], settings: Any) -> None:
        self.leaves = tuple(_leaves(terms, settings))
        self.names = tuple(leaf.name for leaf in self.leaves)
        self.weighted = tuple(leaf.name for leaf in self.leaves if leaf.weighted)
        self.normalise = bool(_option(settings, "normalise"))

    def factors(self, progress: float) -> tuple[float, ...]:
        """weight x schedule of every term at `progress`, brought to a sum of 1 where the settings ask for that."""
        return self._normalised(tuple(leaf.factor(progress) for leaf in self.leaves))

    def balanced(self, weights: Mapping[str, float], progress: float) -> tuple[float, ...]:
        """`factors` with these weights of the weighted terms in the place of the settings'; schedules stay in force."""
        factors = []
        for leaf in self.leaves:
            factor = weights[leaf.name] if leaf.weighted else 0.0
            for section in leaf.chain:
                factor *= factor_at(section.schedule, progress)
            factors.append(factor)
        return self._normalised(tuple(factors))

    def _normalised(self, factors: tuple[float, ...]) -> tuple[float, ...]:
        total = sum(factors) if self.normalise else 0.0
        return tuple(factor / total for factor in factors) if total else factors

    def totals(self, rows: Mapping[str, Mapping[str, float | int]], progress: float) -> dict[str, dict[str, float]]:
        """The same as `Report.rows` gives of the terms, of each outermost composite nested in this one, and "total":
        raw is its weighted sum without its own weight. Empty where nothing is nested."""
        found: dict[str, dict[str, float]] = {}
        for leaf in self.leaves:
            if len(leaf.chain) > 1:
                outer = Leaf(leaf.name, leaf.term, leaf.settings, leaf.chain[:1]).factor(progress)
                inner = Leaf(leaf.name, leaf.term, leaf.settings, leaf.chain[1:]).factor(progress)
                row = found.setdefault(leaf.name.split("/")[0], {"raw": 0.0, "weight": outer, "share": 0.0})
                row["raw"] += inner * rows[leaf.name]["raw"]
                row["share"] += rows[leaf.name]["share"]
        if found:
            total = sum(row["share"] for row in rows.values())
            found["total"] = {"raw": total, "weight": 1.0, "share": total}
        return found

    def __repr__(self) -> str:
        return f"Composite({', '.join(f'{leaf.name}: {leaf.settings!r}' for leaf in self.leaves)})"

    def counts(self, batches: Sequence[Batch], supervision_steps: int, ranks: int = 1) -> dict[str, Tensor]:
        """Number of valid values per term in these micro-batches, those of one optimizer step on this rank (SUM over
        ranks before use) or on all `ranks` together.

        Raises:
            EquipoiseError: E_LOSS_TERM (78) when a term that compares samples would not see all of them at once, one
                micro-batch a rank, and its settings lack `within_micro_batch: true`.
        """
        for leaf in self.leaves if len(batches) != ranks else ():
            if leaf.term.compares_samples and not getattr(leaf.settings, "within_micro_batch", False):
                raise _refused(
                    leaf.name,
                    "compares samples with each other and needs the whole batch at once",
                    f"{len(batches)} micro-batches on {ranks} {'rank' if ranks == 1 else 'ranks'}",
                    "Set training.accumulate to the number of ranks, or within_micro_batch: true for this term",
                )
        return {
            leaf.name: torch.stack([leaf.term.count(batch, leaf.settings) for batch in batches]).sum()
            * (supervision_steps if leaf.term.every_step else 1)
            for leaf in self.leaves
        }

    def __call__(
        self,
        outputs: Outputs,
        batch: Batch,
        counts: Mapping[str, Tensor],
        progress: float,
        reported: tuple[float, ...] | None = None,
    ) -> tuple[Tensor, Report]:
        """This part's share of the loss (scalar, float32 or float64) and what to log of it.

        Terms of weight 0 are reported and not differentiated. With nothing valid the loss is exactly 0 and still has a
        graph. No operation waits for the device; `check_finite` does, once.

        Args:
            reported: factor of every term, of `balanced`; None takes those of the settings.

        Raises:
            EquipoiseError: E_LOSS_OUTPUT (78) when the model does not give what a weighted term needs.
        """
        reported = self.factors(progress) if reported is None else reported
        factors = self.in_force(outputs, reported)
        sums, numbers = self._sums(outputs, batch, factors)
        totals = self._stack(sums, torch.float32, outputs)
        # One small copy that the device fetches on its own; a cached tensor would have to follow every schedule.
        weights = torch.tensor(factors, dtype=totals.dtype).to(totals.device, non_blocking=True)
        loss = (totals * (weights / torch.stack([counts[name] for name in self.names]).clamp(min=1))).sum()
        if not sums:
            loss.requires_grad_()
        return loss, Report(self.names, reported, totals.detach(), self._stack(numbers, torch.long, outputs))

    def shares(
        self,
        outputs: Outputs,
        batch: Batch,
        counts: Mapping[str, Tensor],
        progress: float,
        reported: tuple[float, ...] | None = None,
    ) -> tuple[dict[str, Tensor], Report]:
        """Each weighted term's share of the loss with its graph, and what to log: `__call__` before it adds up."""
        reported = self.factors(progress) if reported is None else reported
        factors = self.in_force(outputs, reported)
        sums, numbers = self._sums(outputs, batch, factors)
        shares = {
            name: sums[name] * factor / counts[name].clamp(min=1)
            for name, factor in zip(self.names, factors, strict=True)
            if factor
        }
        totals = self._stack({name: total.detach() for name, total in sums.items()}, torch.float32, outputs)
        return shares, Report(self.names, reported, totals, self._stack(numbers, torch.long, outputs))

    def _sums(
        self, outputs: Outputs, batch: Batch, factors: Sequence[float]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Sum and number of the valid values of every term given; a graph where the factor is above 0, or all are 0."""
        graph, nothing_learns = torch.is_grad_enabled(), not any(factors)
        sums, numbers = {}, {}
        with _full_precision(outputs):
            for leaf, factor in zip(self.leaves, factors, strict=True):
                if leaf.given(outputs):
                    with torch.set_grad_enabled(graph and (factor > 0 or nothing_learns)):
                        values, valid = leaf.term.loss(outputs, batch, leaf.settings)
                        sums[leaf.name] = torch.where(valid, values, 0.0).sum()
                        numbers[leaf.name] = valid.sum()
        return sums, numbers

    def check_finite(self, report: Report, step: int, replay: Iterable[tuple[Outputs, Batch]]) -> None:
        """Stops the training when a valid value was NaN or inf. Waits for the device, so call it once a step.

        Args:
            report: of one call, or accumulated (and all-reduced) over a whole optimizer step.
            step: optimizer step, for the message.
            replay: the (outputs, batch) pairs behind the report, read only when it is not finite: a generator may
                compute them again.

        Raises:
            EquipoiseError: E_NONFINITE (65) naming term, step and sample ids (of this rank).
        """
        broken = report.nonfinite()
        if not broken:
            return
        with torch.no_grad():
            for outputs, batch in replay:
                with _full_precision(outputs):
                    for leaf in self.leaves:
                        if leaf.name in broken and leaf.given(outputs):
                            _name_culprit(leaf, leaf.term.loss(outputs, batch, leaf.settings), batch, step)
        raise _nonfinite(", ".join(broken), step, "samples of another rank or of values drawn anew", "NaN or inf")

    def in_force(self, outputs: Outputs, weights: tuple[float, ...]) -> list[float]:
        """Of `weights`, one a term, those in force: 0 for a term that this supervision step does not give.

        Raises:
            EquipoiseError: E_LOSS_OUTPUT (78) when the model does not give what a weighted term needs.
        """
        factors = []
        for leaf, weight in zip(self.leaves, weights, strict=True):
            given = leaf.given(outputs)
            if weight and not given and leaf.term.every_step:
                raise misconfigured(
                    f"loss.{leaf.name}",
                    f"the model must give {', '.join(name for name in leaf.term.needs if name not in outputs)}",
                    got=", ".join(outputs),
                    hint="Set this term's weight to 0 or build the model with that head",
                    code="LOSS_OUTPUT",
                )
            factors.append(weight if given else 0.0)
        return factors

    def _stack(self, scalars: dict[str, Tensor], kind: torch.dtype, outputs: Outputs) -> Tensor:
        """[T] in the order of names, 0 for terms that are not there."""
        if len(scalars) < len(self.names):
            some = next(iter(scalars.values()), torch.zeros((), dtype=kind, device=_device(outputs)))
            zero = torch.zeros_like(some.detach())
            return torch.stack([scalars.get(name, zero) for name in self.names])
        return torch.stack(list(scalars.values()))


def stack_steps(outputs: Sequence[Outputs]) -> dict[str, Tensor]:
    """Outputs of N supervision steps as one: what every step gives becomes [N, ...], what only the last gives stays.

    The composite takes the result like any outputs, with the same counts: one call instead of N, with all steps kept in
    memory (backward per step is the lean way; both give equal gradients).
    """
    every = set.intersection(*(set(step) for step in outputs))
    return {
        name: torch.stack([step[name] for step in outputs]) if name in every else value
        for name, value in outputs[-1].items()
    }


def _leaves(terms: Mapping[str, Any], settings: Any, prefix: str = "", chain: tuple[Any, ...] = ()) -> Iterator[Leaf]:
    for name, term in terms.items():
        section = _section(settings, name, prefix)
        path = f"{prefix}{name}"
        if isinstance(term, Composite):
            yield from (
                Leaf(f"{path}/{leaf.name}", leaf.term, leaf.settings, (*chain, section, *leaf.chain))
                for leaf in term.leaves
            )
        elif isinstance(term, Mapping):
            yield from _leaves(term, section, f"{path}/", (*chain, section))
        elif not term.has_gradient:
            raise _refused(
                path,
                "is a metric: it carries no gradient and cannot be a loss term",
                path,
                "Log it as a metric, or choose its differentiable form",
            )
        else:
            yield Leaf(path, term, section, (*chain, section))


def _section(settings: Any, name: str, prefix: str) -> Any:
    section = _option(settings, name)
    if section is None:
        raise _refused(
            f"{prefix}{name}",
            "every loss term needs its weight and schedule",
            "no section",
            "Add the term to the loss section of params.yaml",
        )
    return section


def _option(settings: Any, name: str) -> Any:
    return settings.get(name) if isinstance(settings, Mapping) else getattr(settings, name, None)


def _full_precision(outputs: Outputs) -> torch.autocast:
    """Autocast off: it would send a term's matrix products to bf16."""
    return torch.autocast(_device(outputs).type, enabled=False)


def _device(outputs: Outputs) -> torch.device:
    return next(iter(outputs.values())).device


def _sample_ids(leaf: Leaf, wrong: Tensor, batch: Batch, limit: int = 8) -> list[int]:
    """Ids of the samples behind wrong values: [S] or [N, S] of per-sample terms, [S, C] of tokens, and for queries
    [R, Q] those of the row."""
    ids = batch.get("sample_id")
    if ids is None or not wrong.dim():
        return []
    samples = len(ids)
    if wrong.shape[-1] == samples and (wrong.dim() == 1 or (wrong.dim() == 2 and leaf.term.every_step)):
        return ids[wrong.reshape(-1, samples).any(0)].tolist()[:limit]
    outer = wrong.any(-1).reshape(-1, wrong.shape[-2]).any(0) if wrong.dim() > 1 else wrong
    if len(outer) == samples:
        return ids[outer].tolist()[:limit]
    if "sample_row" in batch:
        return ids[torch.isin(batch["sample_row"], outer.nonzero().flatten())].tolist()[:limit]
    return []


def _name_culprit(leaf: Leaf, masked: Masked, batch: Batch, step: int) -> None:
    wrong = masked.valid & ~masked.values.isfinite()
    if not bool(wrong.any()):
        return
    ids = _sample_ids(leaf, wrong, batch)
    place = f"samples {', '.join(map(str, ids))}" if ids else f"entry {wrong.nonzero()[0].tolist()}"
    raise _nonfinite(leaf.name, step, place, float(masked.values[wrong][0]))


def _nonfinite(names: str, step: int, place: str, value: Any) -> EquipoiseError:
    return bad_data(
        f"loss.{names} at step {step}, {place}",
        "every valid value must be finite",
        got=value,
        hint="Look at these samples or lower training.learning_rate; the last good checkpoint is kept",
        code="NONFINITE",
    )


def _refused(name: str, rule: str, got: Any, hint: str) -> EquipoiseError:
    return misconfigured(f"loss.{name}", rule, got=got, hint=hint, code="LOSS_TERM")
