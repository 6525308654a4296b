"""`equipoise gate W --self-test`: what the gate's verdicts are worth on this workload's own samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from components.config_parts import GateConfig
from components.errors import EquipoiseError, Exit, misconfigured, missing
from components.evaluation.self_test import Measured, Rate, Sizing, broken, measure, scenarios, sizing
from components.evaluation.self_test_world import World, world
from components.evaluation.statistics import PairedDifference
from components.files import write_json
from components.registry.gate import conclude, first_level, judge
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
    pair = judge(candidate, champion, config)
    of = world(candidate, champion, config)
    if (of.sums[:, 0] == of.sums[:, 1]).all():
        rule = "the two versions must differ in some judged head, or there is no noise to measure"
        hint = "Name versions: `equipoise gate W VERSION --against OTHER --self-test`"
        raise misconfigured(place, rule, got="equal scores on every sample", hint=hint, code="GATE_SELF_TEST")
    size = clusters or of.clusters

    def verdict(pairs: list[PairedDifference]) -> str:
        return conclude(config, pairs, [p.bootstrap.clusters for p in pairs], size, size).decision

    possible, impossible = scenarios(of, config)
    measured = []
    for number, scenario in enumerate(possible):
        say(f"{number + 1}/{len(possible)} {scenario.name}: {replays} replays of {size} {config.cluster}s")
        measured.append(measure(of, config, verdict, scenario, size, replays, (config.seed, number)))
    sizes = _sizes(of, config, measured[0], size)
    error = refusal(config, measured, sizes, size, place)
    return {
        **config.model_dump(mode="json", include={"policy", "alpha", "resamples", "seed", "cluster"}),
        "samples": candidate.height,
        "clusters": of.clusters,
        "replayed_clusters": size,
        "replays": replays,
        "decision": pair.decision,
        "heads": [_head(of, config, h, each) for h, each in enumerate(sizes)],
        "scenarios": [_scenario(config, each) for each in measured],
        "impossible": impossible,
        "error": None if error is None else _refused(error),
    }


def refusal(
    config: GateConfig, measured: list[Measured], sizes: list[Sizing], size: int, place: str
) -> EquipoiseError | None:
    """Why this configuration should not judge: it breaks its promise (E_GATE_SIZE), or cannot see its margins.

    The second, E_GATE_POWER, names the number of clusters with which the neediest head could; None: all is well.
    """
    for each in measured:
        for name in broken(each, config.alpha):
            got = f"{name} in {_share(_rate(each.rates[name]))} of replays: {each.scenario.name}"
            hint = f"Judge on more {config.cluster}s: the bootstrap needs them to keep its promise"
            rule = f"false decisions must be no more frequent than alpha {config.alpha:g}"
            return misconfigured(f"{place}.gate", rule, got=got, hint=hint, code="GATE_SIZE")
    weak = [h for h, each in enumerate(sizes) if each.detectable > config.heads[h].margin]
    if not weak:
        return None
    worst = max(weak, key=lambda h: sizes[h].needed)
    head = config.heads[worst]
    return misconfigured(
        f"{place}.gate, {head.head} {head.metric}",
        f"the smallest effect that {size} {config.cluster}s can show must not exceed the margin {head.margin:g}",
        got=f"{sizes[worst].detectable:.4f}",
        hint=f"Judge on about {sizes[worst].needed} {config.cluster}s in all, or widen the margin",
        code="GATE_POWER",
    )


def text(document: Mapping[str, Any]) -> str:
    """The document for people."""
    size = f"{document['replayed_clusters']} {document['cluster']}s"
    head = (
        f"{document['workload']}: {document['version']} and {document['against']}, {document['replays']} "
        f"replays of {size}, policy {document['policy']}, alpha {document['alpha']:g}"
    )
    sizes = [["head", "margin", "noise", "detectable", f"{document['cluster']}s needed"]]
    sizes += [
        [f"{h['head']} {h['metric']}", f"{h['margin']:g}", f"{h['noise']:.4f}", f"{h['detectable']:.4f}", h["needed"]]
        for h in document["heads"]
    ]
    rates = [["truth", "PROMOTE", "HOLD", "REJECT", "false"]]
    rates += [
        [s["name"], *(_share(s["decisions"][name]) for name in rates[0][1:4]), ", ".join(s["false"])]
        for s in document["scenarios"]
    ]
    skipped = [f"cannot be planted, the score leaves no room: {name}" for name in document["impossible"]]
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


def _sizes(of: World, config: GateConfig, equal: Measured, size: int) -> list[Sizing]:
    labelled = (of.sums[:, :, 1] > 0).any(axis=1).mean(axis=0)
    return [
        sizing(equal.differences[:, h], head.margin, size, float(labelled[h]), first_level(config))
        for h, head in enumerate(config.heads)
    ]


def _refused(error: EquipoiseError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": str(error),
        "exit_code": int(error.exit_code),
        "place": error.place,
        "hint": error.hint,
    }


def _head(of: World, config: GateConfig, h: int, each: Sizing) -> dict[str, Any]:
    head = config.heads[h]
    return {
        "head": head.head,
        "metric": head.metric,
        "role": head.role,
        "direction": head.direction,
        "margin": head.margin,
        "score": float(of.share[h]),
        "noise": each.noise,
        "detectable": each.detectable,
        "needed": each.needed,
    }


def _scenario(config: GateConfig, each: Measured) -> dict[str, Any]:
    heads = [f"{head.head}/{head.metric}" for head in config.heads]
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
