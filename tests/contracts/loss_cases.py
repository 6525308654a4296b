"""The table of loss terms that the contract tests run through: a new workload adds one Case and gets every test.

A Case stands in for data and model: rows that are a pure function of their number, a collation that pads them, and a
tiny differentiable rollout from shared parameters to the outputs its terms read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from components.losses.composite import Composite
from components.losses.contract import Batch, Outputs
from components.workloads.assertions.loss import TERMS as ASSERTION_TERMS
from components.workloads.keyboard.loss import TERMS as KEYBOARD_TERMS
from components.workloads.tool_calling.loss import TERMS
from components.workloads.trading.loss import TERMS as TRADING_TERMS

ALWAYS = ((0.0, 1.0),)


@dataclass(frozen=True)
class Case:
    """One workload's terms with settings, and what makes random batches for them.

    Attributes:
        collate: row numbers -> Batch, padded to the longest of them.
        parameters: fresh float64 leaves, the same at every call.
        rollout: (parameters, batch, steps) -> Outputs per supervision step; the last one carries the rest.
        unlabel: Batch -> the same batch with every optional label missing.
        optional: the terms that are empty then.
    """

    name: str
    terms: dict[str, Any]
    settings: SimpleNamespace
    collate: Callable[[Sequence[int]], Batch]
    parameters: Callable[[], list[Tensor]]
    rollout: Callable[[list[Tensor], Batch, int], list[Outputs]]
    unlabel: Callable[[Batch], Batch]
    optional: frozenset[str]


def single(case: Case, name: str) -> Composite:
    return Composite({name: case.terms[name]}, case.settings)


def big_gradient(composite: Composite, case: Case, parts: Sequence[Sequence[int]], steps: int) -> list[Tensor]:
    """Gradient of one optimizer step over the parts, one backward per part and supervision step, simply added."""
    parameters = case.parameters()
    batches = [case.collate(rows) for rows in parts]
    counts = composite.counts(batches, steps)
    for batch in batches:
        for outputs in case.rollout(parameters, batch, steps):
            composite(outputs, batch, counts, 0.5)[0].backward(retain_graph=True)
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]


WIDTH, TOOLS, INTENTS, PIECES, ANSWER = 4, 4, 3, 6, 3


def _row(number: int) -> dict[str, Any]:
    make = torch.Generator().manual_seed(number)

    def whole(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=make)

    length, samples, queries = int(whole(4, 10)), int(whole(1, 5)), int(whole(0, 4))
    tools = int(whole(2, TOOLS + 1))
    row = {
        "x": torch.randn(length, WIDTH, generator=make, dtype=torch.float64),
        "position": whole(0, length, samples),
        "decision": whole(0, 2, samples).double(),
        "tool": whole(-1, tools, samples),
        "offered": torch.arange(TOOLS) < tools,
        "intent": whole(-1, INTENTS, samples),
        "content": torch.where(whole(0, 2, samples, ANSWER) > 0, whole(0, PIECES, samples, ANSWER), -100),
    }
    for kind in ("slot", "arg"):
        row[f"{kind}_position"] = whole(0, length, queries)
        row[f"{kind}_start"], row[f"{kind}_end"] = whole(-1, length, queries), whole(-1, length, queries)
    return row


def _pad(parts: list[Tensor], value: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=value)


def collate(numbers: Sequence[int]) -> Batch:
    rows = [_row(number) for number in numbers]
    batch = {
        "x": _pad([r["x"] for r in rows], 3.0),
        "attention": _pad([torch.ones(len(r["x"]), dtype=torch.bool) for r in rows], False),
        "sample_row": torch.cat([torch.full_like(r["position"], i) for i, r in enumerate(rows)]),
        "sample_id": torch.cat(
            [100 * n + torch.arange(len(r["position"])) for n, r in zip(numbers, rows, strict=True)]
        ),
        "offered": torch.cat([r["offered"].expand(len(r["position"]), -1) for r in rows]),
        "tool_call_share": torch.tensor(0.3, dtype=torch.float64),
    }
    for name in ("position", "decision", "tool", "intent", "content"):
        batch[name] = torch.cat([r[name] for r in rows])
    for kind in ("slot", "arg"):
        batch[f"{kind}_position"] = _pad([r[f"{kind}_position"] for r in rows], 0)
        for end in ("start", "end"):
            batch[f"{kind}_{end}"] = _pad([r[f"{kind}_{end}"] for r in rows], -1)
    return batch


SHAPES = [(WIDTH,), (WIDTH,), (WIDTH, TOOLS), (WIDTH, INTENTS), (WIDTH, ANSWER * PIECES), (4, WIDTH, WIDTH)]


def parameters() -> list[Tensor]:
    make = torch.Generator().manual_seed(99)
    return [torch.randn(shape, generator=make, dtype=torch.float64).requires_grad_() for shape in SHAPES]


def rollout(weights: list[Tensor], batch: Batch, steps: int) -> list[Outputs]:
    decision, q, tool, intent, content, spans = weights
    yields = []
    for step in range(1, steps + 1):
        x = torch.tanh(batch["x"] * step / 2)
        state = x[batch["sample_row"], batch["position"]]
        outputs = {
            "decision_logits": state @ decision,
            "q_logits": state @ q,
            "tool_logits": (state @ tool).masked_fill(~batch["offered"], -torch.inf),
            "intent_logits": state @ intent,
            "content_logits": (state @ content).view(-1, ANSWER, PIECES),
        }
        if step == steps:
            for i, (kind, end) in enumerate((k, e) for k in ("slot", "arg") for e in ("start", "end")):
                asking = x.gather(1, batch[f"{kind}_position"].unsqueeze(-1).expand(-1, -1, WIDTH))
                outputs[f"{kind}_{end}_logits"] = x @ spans[i] @ asking.transpose(1, 2)
        yields.append(outputs)
    return yields


def unlabel(batch: Batch) -> Batch:
    spans = {name: torch.full_like(batch[name], -1) for name in ("slot_start", "slot_end", "arg_start", "arg_end")}
    without = {name: torch.full_like(batch[name], -1) for name in ("tool", "intent")}
    return {**batch, **spans, **without, "content": torch.full_like(batch["content"], -100)}


def _settings(**decision: Any) -> SimpleNamespace:
    numbers = {"decision": {"alpha": 0.25, "gamma": 2.0}, "intent": {"gamma": 2.0}, "q": {"target": "decision"}}
    numbers["decision"] |= {k: v for k, v in decision.items() if k in ("alpha", "gamma")}
    numbers["q"] |= {k: v for k, v in decision.items() if k == "target"}
    weights = dict(zip(TERMS, (1.0, 1.0, 0.7, 0.5, 0.5, 0.4, 0.3), strict=True))
    return SimpleNamespace(
        **{n: SimpleNamespace(weight=w, schedule=ALWAYS, **numbers.get(n, {})) for n, w in weights.items()}
    )


def _tool_calling(name: str, **options: Any) -> Case:
    return Case(
        name,
        TERMS,
        _settings(**options),
        collate,
        parameters,
        rollout,
        unlabel,
        frozenset({"tool", "intent", "slot_span", "arg_span", "content"}),
    )


DAYS, STRATEGIES = 4, 5  # of a trading row: the days it holds


def _days(numbers: Sequence[int]) -> Batch:
    rows = [torch.Generator().manual_seed(1000 + number) for number in numbers]
    return {
        "x": torch.cat([torch.randn(DAYS, WIDTH, generator=make, dtype=torch.float64) for make in rows]),
        "label": torch.cat([torch.randint(-1, STRATEGIES, (DAYS,), generator=make) for make in rows]),
        "pnl": torch.cat([torch.randn(DAYS, generator=make, dtype=torch.float64) * 0.05 for make in rows]),
        "sample_id": torch.cat([100 * n + torch.arange(DAYS) for n in numbers]),
        "class_counts": torch.tensor([40, 3, 0, 25, 7]),
    }


def _trading_parameters() -> list[Tensor]:
    make = torch.Generator().manual_seed(98)
    shapes = [(WIDTH, STRATEGIES), (WIDTH,)]
    return [torch.randn(shape, generator=make, dtype=torch.float64).requires_grad_() for shape in shapes]


def _trading_rollout(weights: list[Tensor], batch: Batch, steps: int) -> list[Outputs]:
    states = [torch.tanh(batch["x"] * step) for step in range(1, steps + 1)]
    return [{"task_logits": 2 * state @ weights[0], "halt_logits": state @ weights[1]} for state in states]


def _trading(name: str, **options: Any) -> Case:
    numbers = {
        "profit": {"pnl_scale": 0.05, "w_min": 0.0, "class_weights": None, "class_weight_limit": 10.0},
        "halt": {"confidence_threshold": 0.5},
        "task": {"class_weights": None, "class_weight_limit": 10.0},
    }
    for term in numbers.values():
        term |= {key: value for key, value in options.items() if key in term}
    weights = {"profit": 1.0, "halt": 0.1, "task": 0.5}
    return Case(
        name,
        TRADING_TERMS,
        SimpleNamespace(**{n: SimpleNamespace(weight=w, schedule=ALWAYS, **numbers[n]) for n, w in weights.items()}),
        _days,
        _trading_parameters,
        _trading_rollout,
        lambda batch: {**batch, "label": torch.full_like(batch["label"], -1)},
        frozenset(TRADING_TERMS),
    )


IDS_OF_TEXT, LIKELY, STATE, EMBEDDED = 7, 3, 4, 5  # vocabulary, buckets less one, width of states and of pieces


def _text_row(number: int) -> dict[str, Tensor]:
    make = torch.Generator().manual_seed(2000 + number)
    length, other = (int(torch.randint(1, 9, (), generator=make)) for _ in range(2))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=make, dtype=torch.float64)

    return {
        "x": normal(length, WIDTH),
        "y": normal(other, WIDTH),
        "target": torch.randint(0, IDS_OF_TEXT, (length,), generator=make),
        "sequence": torch.randint(0, IDS_OF_TEXT, (other,), generator=make),
        "teacher": normal(length, LIKELY + 1),
        "states": normal(length, STATE),
    }


def _texts(numbers: Sequence[int]) -> Batch:
    rows = [_text_row(number) for number in numbers]
    labels = {name: _pad([row[name] for row in rows], -1) for name in ("target", "sequence")}
    numbers_ = {name: _pad([row[name] for row in rows], 2.0) for name in ("x", "y", "teacher", "states")}
    parses = torch.tensor([number % 2 == 0 for number in numbers])
    return {**labels, **numbers_, "parses": parses, "sample_id": torch.tensor([100 * n for n in numbers])}


def _text_parameters() -> list[Tensor]:
    make = torch.Generator().manual_seed(97)
    shapes = [(WIDTH, IDS_OF_TEXT), (WIDTH, LIKELY + 1), (WIDTH, STATE)]
    return [torch.randn(shape, generator=make, dtype=torch.float64).requires_grad_() for shape in shapes]


def _text_rollout(weights: list[Tensor], batch: Batch, steps: int) -> list[Outputs]:
    writing, likely, states = weights
    x, y = torch.tanh(batch["x"] * steps), torch.tanh(batch["y"])
    pieces = torch.randn(IDS_OF_TEXT, EMBEDDED, generator=torch.Generator().manual_seed(96), dtype=torch.float64)
    last = {
        "logits": x @ writing,
        "sequence_logits": y @ writing,
        "student_logp": x @ likely,
        "teacher_logp": batch["teacher"],
        "own_logits": (x + 1) @ likely,
        "own_teacher": batch["teacher"] / 2,
        "projected": x @ states,
        "teacher_states": batch["states"],
        "pieces": pieces,
        "parses": batch["parses"],
    }
    return [{"draft": x} for _ in range(steps - 1)] + [last]


def _assertions(name: str, penalty: float, alpha: float | None, temperature: float) -> Case:
    numbers: dict[str, dict[str, Any]] = {
        "focal": {"gamma": 2.0, "alpha": alpha, "syntax_penalty": penalty},
        "ce": {"syntax_penalty": penalty},
        "jsd": {"temperature": temperature},
        "kl": {"temperature": temperature},
        "on_policy": {"temperature": temperature},
        "pans": {"decay": 0.1, "n_max": 4},
    }
    sections = {n: SimpleNamespace(weight=0.5, schedule=ALWAYS, **numbers.get(n, {})) for n in ASSERTION_TERMS}
    return Case(
        name,
        ASSERTION_TERMS,
        SimpleNamespace(**sections),
        _texts,
        _text_parameters,
        _text_rollout,
        lambda batch: {**batch, **{n: torch.full_like(batch[n], -1) for n in ("target", "sequence")}},
        frozenset(ASSERTION_TERMS),
    )


KEYS, EVENTS, SEEN = 9, 3, 4  # pieces of a keyboard, events of a message, width of the features that are compared
FLAT = {name: term for terms in KEYBOARD_TERMS.values() for name, term in terms.items()}


def _typing(numbers: Sequence[int]) -> Batch:
    rows = [torch.Generator().manual_seed(3000 + number) for number in numbers]

    def labels(low: int, high: int, *shape: int) -> Tensor:
        return torch.cat([torch.randint(low, high, (EVENTS, *shape), generator=make) for make in rows])

    batch = {
        "x": torch.cat([torch.randn(EVENTS, WIDTH, generator=make, dtype=torch.float64) for make in rows]),
        "target": labels(0, KEYS, 1),
        "task": labels(0, 3),
        "next_layout": labels(0, 5),
        "target_language": labels(-1, 2),
        "screen": labels(-1, 4),
        "sample_id": torch.cat([100 * n + torch.arange(EVENTS) for n in numbers]),
    }
    batch["screen"][::EVENTS] = batch["target_language"][::EVENTS] = 0  # every message has one of each
    return batch


def _keyboard_parameters() -> list[Tensor]:
    make = torch.Generator().manual_seed(95)
    shapes = [(WIDTH, KEYS), (WIDTH, 3), (WIDTH, 5), (WIDTH, 5), (WIDTH, SEEN), (WIDTH, SEEN), (WIDTH, 4 * SEEN)]
    return [torch.randn(shape, generator=make, dtype=torch.float64).requires_grad_() for shape in shapes]


def _keyboard_rollout(weights: list[Tensor], batch: Batch, steps: int) -> list[Outputs]:
    pieces, task, layout, gate, text, screen, regions = weights
    x = torch.tanh(batch["x"] * steps)
    drafts: list[Outputs] = [{"draft": x} for _ in range(steps - 1)]
    last = {
        "written": x[(batch["target"] >= 0).nonzero()[:, 0]],
        "table": pieces.T,
        "task_logits": x @ task,
        "layout_logits": x @ layout,
        "gate_logits": x @ gate,
        "text_feature": x @ text,
        "screen_feature": x.sin() @ screen,
        "region_features": (x.sin() @ regions).view(-1, 4, SEEN),
    }
    return [*drafts, last]


def _untyped(batch: Batch) -> Batch:
    names = ("target", "task", "next_layout", "target_language", "screen")
    return {**batch, **{name: torch.full_like(batch[name], -1) for name in names}}


def _keyboard(name: str, tau: float, symmetric: bool) -> Case:
    numbers: dict[str, dict[str, Any]] = {
        "align": {"tau": tau, "symmetric": symmetric, "within_micro_batch": False},
        "contrastive": {"tau": tau, "symmetric": symmetric, "within_micro_batch": False},
        "load": {"within_micro_batch": False},
    }
    return Case(
        name,
        FLAT,
        SimpleNamespace(**{n: SimpleNamespace(weight=0.5, schedule=ALWAYS, **numbers.get(n, {})) for n in FLAT}),
        _typing,
        _keyboard_parameters,
        _keyboard_rollout,
        _untyped,
        frozenset(FLAT) - {"load"},
    )


CASES = (
    _tool_calling("tool_calling"),
    _tool_calling("tool_calling, options", alpha="auto", gamma=0.5, target="decision_and_tool"),
    _trading("trading"),
    _trading("trading, options", class_weights="auto", w_min=0.3, pnl_scale=0.02),
    _assertions("assertions", 0.0, 0.25, 2.0),
    _assertions("assertions, options", 0.5, None, 1.0),
    _keyboard("keyboard", 0.07, False),
    _keyboard("keyboard, options", 0.5, True),
)
EACH_TERM = [(case, name) for case in CASES for name in case.terms]
IDS = [f"{case.name}: {name}" for case, name in EACH_TERM]
BY_ITSELF = [(case, name) for case, name in EACH_TERM if not case.terms[name].compares_samples]  # sample by sample
