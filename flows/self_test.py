"""`equipoise gate W --self-test`: what the gate's verdicts are worth on this workload's own samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from components.config_parts import GateConfig
from components.errors import EquipoiseError, Exit, misconfigured, missing
from components.evaluation.judged import WHOLE, Answer, is_share
from components.evaluation.judged_series import METRICS as SERIES
from components.evaluation.self_test import Measured, Rate, Sizing, broken, measure, scenarios, sizing
from components.evaluation.self_test_world import World, world
from components.evaluation.statistics import PairedDifference
from components.files import write_json
from components.registry.gate import conclude, draws_for, first_level, lay_out, settle
from components.registry.gate_spending import alpha_of_look
from flows import present, provenance
from flows.judging import score
from flows.registration import BASELINE, Desk, desk
from flows.state import Place

Say = Callable[[str], object]


def run(
    place: Place,
    workload: str,
    version: int | None,
    against: int | None,
    replays: int,
    clusters: int | None,
    say: Say,
) -> dict[str, Any]:
    """Measures the gate on the scores of two versions: rates with intervals, what is detectable, what is refused.

    Args:
        version, against: whose scores; by default the newest other version and the champion, or where nothing is
            registered yet the trained model and the cheap baseline.
        replays: evaluation sets a scenario.
        clusters: size of each; by default that of the test split. Larger shows what more samples would bring.

    Returns:
        The document. Its `error` is null, or why this configuration should not judge (E_GATE_POWER, E_GATE_SIZE).
    """
    with desk(place, workload, None, say) as at:
        names, tables = _two(at, version, against)
        found = self_test(*tables, at.section.gate, replays, clusters, workload, say)
        document = {"workload": workload, "version": names[0], "against": names[1], **found}
        write_json(place.state / "gates" / workload / "self_test.json", document)
        return document


def self_test(
    candidate: pl.DataFrame,
    champion: pl.DataFrame,
    config: GateConfig,
    replays: int,
    clusters: int | None,
    place: str,
    say: Say,
) -> dict[str, Any]:
    """The document of a self-test on two tables of scores; see `run`.

    Raises:
        EquipoiseError: what `judge` refuses, and E_GATE_SELF_TEST (78) when the two score alike on every head.
    """
    unplanted = left_out(candidate, config)
    asked = lay_out(candidate, champion, share_heads(candidate, config, place))
    decision = settle(asked).decision
    of = world(asked)
    config = asked.config.model_copy(update={"resamples": draws_for(config, of.questions)})
    if (of.sums[:, 0] == of.sums[:, 1]).all():
        rule = "the two versions must differ in some judged head, or there is no noise to measure"
        hint = "Name versions: `equipoise gate W VERSION --against OTHER --self-test`"
        raise misconfigured(place, rule, got="equal scores on every sample", hint=hint, code="GATE_SELF_TEST")
    size = clusters or of.clusters

    def verdict(pairs: list[PairedDifference]) -> str:
        answers = [Answer(q, pair, pair.bootstrap.clusters) for q, pair in zip(of.questions, pairs, strict=True)]
        return conclude(config, answers, size, size).decision

    possible, impossible = scenarios(of, config)
    measured = []
    for number, scenario in enumerate(possible):
        say(f"{number + 1}/{len(possible)} {scenario.name}: {replays} replays of {size} {config.cluster}s")
        measured.append(measure(of, config, verdict, scenario, size, replays, (config.seed, number)))
    alpha = alpha_of_look(1, config.alpha, config.spending)
    sizes = _sizes(of, measured[0], size, first_level(alpha, of.questions))
    error = refusal(of, config, measured, sizes, size, place)
    return {
        **config.model_dump(mode="json", include={"policy", "resamples", "seed", "cluster"}),
        "alpha": alpha,
        "alpha_in_all": config.alpha,
        "samples": candidate.height,
        "clusters": of.clusters,
        "replayed_clusters": size,
        "replays": replays,
        "decision": decision,
        "heads": [_head(of, h, each) for h, each in enumerate(sizes)],
        "scenarios": [_scenario(of, each) for each in measured],
        "impossible": impossible,
        "left_out": unplanted,
        "error": None if error is None else _refused(error),
    }


def share_heads(table: pl.DataFrame, config: GateConfig, place: str) -> GateConfig:
    """The part of the configuration that can be planted: heads that are shares, and their slices.

    Raises:
        EquipoiseError: E_GATE_SELF_TEST (78) when no primary head is one.
    """
    heads = tuple(head for head in config.heads if is_share(table, head) or head.metric not in (*WHOLE, *SERIES))
    if not any(head.role == "primary" for head in heads):
        rule = "at least one primary head must be a share, or nothing of known size can be planted"
        hint = "Make a head with hits of labelled samples primary"
        got = ", ".join(f"{head.head} {head.metric}" for head in config.heads)
        raise misconfigured(place, rule, got=got, hint=hint, code="GATE_SELF_TEST")
    return config.model_copy(update={"heads": heads})


def left_out(table: pl.DataFrame, config: GateConfig) -> list[str]:
    """What the gate judges besides and the self-test does not measure: no change of a known size can be planted there,
    or (costs, alarms) there is nothing to draw."""
    heads = [f"{head.head} {head.metric}" for head in config.heads if not is_share(table, head)]
    budgets = [f"{name} budget" for name, limit in config.budgets.model_dump().items() if limit is not None]
    return [*heads, *budgets, *(["health alarms"] if config.alarms else [])]


def refusal(
    of: World, config: GateConfig, measured: list[Measured], sizes: list[Sizing], size: int, place: str
) -> EquipoiseError | None:
    """Why this configuration should not judge: it breaks its promise (E_GATE_SIZE), or cannot see its margins.

    The second, E_GATE_POWER, names the number of clusters with which the neediest head could; None: all is well.
    """
    alpha = alpha_of_look(1, config.alpha, config.spending)
    for each in measured:
        for name in broken(each, alpha):
            got = f"{name} in {_share(_rate(each.rates[name]))} of replays: {each.scenario.name}"
            hint = f"Judge on more {config.cluster}s: the bootstrap needs them to keep its promise"
            rule = f"false decisions must be no more frequent than alpha {alpha:.3g}"
            return misconfigured(f"{place}.gate", rule, got=got, hint=hint, code="GATE_SIZE")
    weak = [h for h, each in enumerate(sizes) if each.detectable > of.questions[h].head.margin]
    if not weak:
        return None
    worst = max(weak, key=lambda h: sizes[h].needed)
    asked = of.questions[worst]
    return misconfigured(
        f"{place}.gate, {asked.name}",
        f"the smallest effect that {size} {config.cluster}s can show must not exceed the margin {asked.head.margin:g}",
        got=f"{sizes[worst].detectable:.4f}",
        hint=f"Judge on about {sizes[worst].needed} {config.cluster}s in all, or widen the margin",
        code="GATE_POWER",
    )


def text(document: Mapping[str, Any]) -> str:
    """The document for people."""
    size = f"{document['replayed_clusters']} {document['cluster']}s"
    head = (
        f"{document['workload']}: {document['version']} and {document['against']}, {document['replays']} "
        f"replays of {size}, policy {document['policy']}, alpha {document['alpha']:.3g} of {document['alpha_in_all']:g}"
    )
    sizes = [["head", "margin", "noise", "detectable", f"{document['cluster']}s needed"]]
    sizes += [
        [present.head_name(h), f"{h['margin']:g}", f"{h['noise']:.4f}", f"{h['detectable']:.4f}", h["needed"]]
        for h in document["heads"]
    ]
    rates = [["truth", "PROMOTE", "HOLD", "REJECT", "false"]]
    rates += [
        [s["name"], *(_share(s["decisions"][name]) for name in rates[0][1:4]), ", ".join(s["false"])]
        for s in document["scenarios"]
    ]
    skipped = [f"not measured here: {', '.join(document['left_out'])}"] if document["left_out"] else []
    skipped += [f"cannot be planted, the score leaves no room: {name}" for name in document["impossible"]]
    return "\n".join([head, "", *present.table(sizes), "", *present.table(rates), *skipped])


def status(document: Mapping[str, Any], say: Say) -> int:
    """The exit status; a refusal is said on one line as every error is, beside the numbers that led to it."""
    error = document["error"]
    if error is None:
        return Exit.DONE
    say(error["message"])
    return error["exit_code"]


def _two(at: Desk, version: int | None, against: int | None) -> tuple[list[str], tuple[pl.DataFrame, pl.DataFrame]]:
    """Names and scores of the two whose differences are the noise."""
    registered = sorted({e.version for e in at.ledger.history(at.name) if e.event == "register" and e.version})
    champion = against if against is not None else at.ledger.champion(at.name)
    others = [v for v in registered if v != champion]
    candidate = version if version is not None else max(others, default=None)
    if candidate is not None and champion is not None and candidate != champion:
        at.say(f"scoring versions {candidate} and {champion} on the test split")
        return [f"version {candidate}", f"version {champion}"], (score(at, candidate), score(at, champion))
    if version is not None or against is not None:
        rule = "two different versions must be named, or one besides the champion"
        raise misconfigured(at.name, rule, got=f"{candidate} and {champion}", hint="See `equipoise history`")
    at.say("scoring the trained model and the cheap baseline on the test split")
    folders = {"checkpoint": at.place.checkpoint(at.name), "baseline": at.place.evaluation(at.name) / BASELINE}
    for name, folder in folders.items():
        if not (folder / "model.json").is_file():
            hint = f"Run `equipoise evaluate {at.name}` first"
            raise missing(str(folder), f"the {name} must be there to be scored", got="no model.json", hint=hint)
    samples = list(at.record.samples(at.place.prepared(at.name), provenance.TEST))
    ours, cheap = (at.record.score(samples, at.record.load(folder).predict(samples)) for folder in folders.values())
    return list(folders), (ours, cheap)


def _sizes(of: World, equal: Measured, size: int, level: float) -> list[Sizing]:
    labelled = (of.sums[:, :, 1] > 0).any(axis=1).mean(axis=0)
    return [
        sizing(equal.differences[:, h], question.head.margin, size, float(labelled[h]), level)
        for h, question in enumerate(of.questions)
    ]


def _refused(error: EquipoiseError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": str(error),
        "exit_code": int(error.exit_code),
        "place": error.place,
        "hint": error.hint,
    }


def _head(of: World, h: int, each: Sizing) -> dict[str, Any]:
    head = of.questions[h].head
    return {
        "head": head.head,
        "metric": head.metric,
        "slice": of.questions[h].slice,
        "role": head.role,
        "direction": head.direction,
        "margin": head.margin,
        "score": float(of.share[h]),
        "noise": each.noise,
        "detectable": each.detectable,
        "needed": each.needed,
    }


def _scenario(of: World, each: Measured) -> dict[str, Any]:
    heads = [question.name for question in of.questions]
    return {
        "name": each.scenario.name,
        "margins": dict(zip(heads, each.scenario.margins, strict=True)),
        "false": list(each.scenario.false),
        "sought": each.scenario.sought,
        "decisions": {name: _rate(rate) for name, rate in each.rates.items()},
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {"count": rate.count, "value": rate.value, "low": rate.low, "high": rate.high}


def _share(rate: Mapping[str, Any]) -> str:
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"
