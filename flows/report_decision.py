"""Chapters of a report about what was decided: the headline, the gate, the campaign, what the version was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.evaluation.e_process import plain
from components.evaluation.shadow import weigh
from flows.present import head_name
from flows.report_parts import (
    NONE,
    Bar,
    Cell,
    Facts,
    Forest,
    Part,
    Section,
    Table,
    Text,
    between,
    measured,
    name,
    number,
    picture,
    signed,
)
from flows.report_records import Records

WIDEST = 6.0  # margins at either end of the forest; what lies beyond is marked there


@dataclass(frozen=True)
class Headline:
    """Title, the decision in one word, one paragraph, and a few figures (name, value, what it is beside)."""

    title: str
    badge: str
    paragraph: str
    tiles: Sequence[tuple[str, str, str]]


def headline(records: Records) -> Headline:
    """Which version this is, whether it serves, what the gate said and why."""
    if records.made is None:
        title = f"{records.workload}, not registered"
        said = f"`equipoise retrain {records.workload}` registers it and asks the gate."
        return Headline(title, "", f"This model was trained here and is no version yet: {said}", _tiles(records))
    judgements = records.made["judgements"]
    badge = "WITHDRAWN" if records.withdrawn else judgements[-1]["event"].upper() if judgements else ""
    said = [_standing(records), *([_said(records, judgements[-1])] if judgements else []), *_size(records)]
    if not judgements:
        said.append("The gate has not judged it yet.")
    if records.evaluation.get("metrics") and "sentence" in records.evaluation["metrics"]:
        said.append(records.evaluation["metrics"]["sentence"])
    if records.alarms:
        said.append(f"Its training raised {_count(len(records.alarms), 'health alarm')}.")
    return Headline(f"{records.workload}, version {records.version}", badge, " ".join(said), _tiles(records))


def _standing(records: Records) -> str:
    version, since = records.version, (records.since or "")[:16].replace("T", " ")
    if records.champion == version:
        return f"Version {version} is the champion since {since} UTC."
    assert records.made is not None
    was = " (the previous champion)" if records.made["standing"] == "previous champion" else ""
    serves = f"version {records.champion} serves" if records.champion is not None else "nothing serves yet"
    said = f"Version {version}{was} does not serve; {serves}."
    if records.withdrawn is None:
        return said
    reason = records.withdrawn["reason"].rstrip(".") or "no reason was given"
    return f"{said} It was withdrawn on {records.withdrawn['time'][:10]}: {reason}."


def _said(records: Records, event: Mapping[str, Any]) -> str:
    reason = event["reason"].rstrip(".")
    if event["event"] == "rollback":
        return f"It serves by a rollback of {event['time'][:10]}: {reason or 'no reason was given'}."
    if event["report_sha256"] is None:
        return f"{event['event'].upper()} without a comparison: {reason}."
    met = f" when it met version {records.met}" if records.met is not None else ""
    return f"The gate said {event['event'].upper()}{met}: {reason}."


def _size(records: Records) -> list[str]:
    gate = records.gate
    if gate is None:
        return []
    size = f"{_count(gate['samples'], 'sample')} of {_count(gate['clusters'], gate['cluster'])}"
    spent = f"alpha {gate['alpha']:.3g}"
    if "look" in gate:
        spent = f"look {gate['look']} at this hold-out, {spent} of {gate['alpha_in_all']:g}"
    return [f"It compared them on {size} (policy {gate['policy']}, {spent})."]


def _count(n: int, noun: str) -> str:
    return f"{number(n)} {noun}{'' if n == 1 else 's'}"


def _tiles(records: Records) -> list[tuple[str, str, str]]:
    tiles = []
    if records.gate is not None:
        tiles = [
            (
                name(f"{head['head']} {head['metric']}"),
                number(head["candidate"]),
                f"champion {number(head['champion'])}",
            )
            for head in records.gate["heads"]
            if head["role"] == "primary" and not head.get("slice")
        ][:3]
    elif (document := records.evaluation.get("metrics")) is not None:
        found = {key: document["metrics"].get(f"test/{key}") for key in records.heads}
        tiles = [(name(key), number(value), "test split") for key, value in found.items() if value is not None][:3]
    if records.made is not None:
        size = records.made["artefact"]["bytes"] / 1e6
        tiles.append(("artefact", f"{size:.1f} MB", "as registered"))
        if "steps" in records.made["training"]:
            best = f"best epoch {records.made['training'].get('best_epoch', NONE)}"
            tiles.append(("steps", number(records.made["training"]["steps"]), best))
    return tiles


def gate(records: Records) -> Section:
    """The forest of the judged heads with their margins, the numbers behind it, and earlier judgements."""
    if records.made is None or not records.made["judgements"]:
        return Section("gate", "The gate", (), "The gate has not judged this model yet.")
    parts: list[Part] = []
    if (document := records.gate) is not None:
        parts.append(forest(document["heads"]))
        parts.append(_tests(document))
        parts += _beyond(document)
        parts.append(Text(f"Method: {document['method']}; {number(document['resamples'])} resamples.", "quiet"))
    elif records.judged is not None:
        parts.append(Text(f"The gate's report {records.judged['report_sha256']} is not kept here any more."))
    else:
        parts.append(Text("No champion was there to compare it with.", "quiet"))
    rows = [
        [Cell(event["time"][:16].replace("T", " "), kind="still"), Cell(event["event"].upper()), Cell(event["actor"]),
         Cell(event["reason"])]
        for event in reversed(records.made["judgements"])
    ]  # fmt: skip
    head = ("time (UTC)", "event", "by", "reason")
    parts.append(Table(head, rows, frozenset(range(4)), "In the ledger, latest first"))
    return Section("gate", "The gate", parts)


def _beyond(document: Mapping[str, Any]) -> list[Part]:
    """Budgets, and the slices with too few clusters to be judged."""
    parts: list[Part] = []
    if budgets := document.get("budgets"):
        rows = [
            [Cell(each["name"]), Cell(each["unit"]), measured({**each, "value": each["candidate"]}),
             Cell(number(each["champion"])), Cell(number(each["budget"])), Cell(each["verdict"])]
            for each in budgets
        ]  # fmt: skip
        head = ("budget", "unit", "candidate", "champion", "allowed", "verdict")
        parts.append(Table(head, rows, frozenset({0, 1, 5}), "What it may cost"))
    if left := document.get("not_judged"):
        names = ", ".join(f"{head_name(each)} ({each['clusters']})" for each in left)
        parts.append(Text(f"Not judged, too few {document['cluster']}s: {names}.", "quiet"))
    return parts


def forest(heads: Sequence[Mapping[str, Any]]) -> Forest:
    """Every head's difference in units of its own margin, turned so that better lies to the right."""
    scaled = [_scaled(head) for head in heads]
    reach = max((abs(value) for row in scaled for value in row), default=0.0)
    ends = min(WIDEST, max(1.5, 1.08 * reach))

    def place(value: float) -> float:
        return round(50 + 50 * max(-ends, min(ends, value)) / ends, 2)

    bars = [
        Bar(
            head_name(head), head["role"], head["verdict"],
            f"{number(head['candidate'])} against {number(head['champion'])}", signed(head["difference"]),
            between(head["low"], head["high"], signed), place(low), place(at), place(high),
            (low < -ends, high > ends), _may_be(head),
        )
        for head, (low, at, high) in zip(heads, scaled, strict=True)
    ]  # fmt: skip
    return Forest(bars, place(0.0), place(-1.0), round(ends, 1))


def _scaled(head: Mapping[str, Any]) -> tuple[float, float, float]:
    """(low, difference, high) in margins; without a margin in units of what is farthest from 0."""
    turned = -1.0 if head["direction"] == "lower" else 1.0
    unit = head["margin"] or max(abs(head["low"]), abs(head["high"])) or 1.0
    low, high = sorted((turned * head["low"] / unit, turned * head["high"] / unit))
    return low, turned * head["difference"] / unit, high


def _may_be(head: Mapping[str, Any]) -> str:
    side = "above" if head["direction"] == "lower" else "below"
    return f"{head['role']}, may be {head['margin']:g} {side}"


def _tests(document: Mapping[str, Any]) -> Table:
    rows = [
        [
            Cell(head_name(head)),
            Cell(number(head["p_better"])),
            Cell(number(head["p_not_worse"])),
            Cell(number(head["p_worse"])),
            Cell(number(head["samples"])),
            Cell(number(head["clusters"])),
            Cell(number(head["needed"])),
        ]
        for head in document["heads"]
    ]
    head = ("head", "p, better", "p, not worse", "p, worse", "samples", f"{document['cluster']}s", "needed")
    return Table(head, rows, caption="Adjusted p-values; needed: how many would decide it")


def shadow(records: Records) -> Section:
    """What labelled samples have shown since the version replaced another, head by head."""
    kept = records.shadow
    if kept is None or not kept.counted:
        empty = "No labelled samples were counted since a promotion of this version: `equipoise shadow` counts them."
        return Section("shadow", "Since its promotion", (), empty)
    weighed = weigh(kept)
    shown = "It is worse" if weighed.enough else "It is not shown to be worse"
    said = (
        f"{shown} than version {kept.previous} by more than its margins: e {number(weighed.e)} of the "
        f"{1 / kept.alpha:g} that demote it, after {_count(len(kept.counted), f'labelled {kept.cluster}')}."
    )
    rows = [
        [Cell(name(f"{each.head.head} {each.head.metric}")), Cell(number(each.champion)), Cell(number(each.previous)),
         Cell(number(each.harm)), Cell(f"{each.head.margin:g}"), Cell(number(plain(each.log_e))),
         Cell(number(each.clusters))]
        for each in weighed.heads
    ]  # fmt: skip
    head = ("head", f"version {kept.champion}", f"version {kept.previous}", "harm", "margin", "e", f"{kept.cluster}s")
    caption = "Mean shares by cluster; e-values, which may be looked at whenever one likes"
    return Section("shadow", "Since its promotion", (Text(said), Table(head, rows, caption=caption)))


def campaign(records: Records) -> Section:
    """The front of a search for loss weights, its table and its verdict."""
    if records.campaign is None:
        empty = f"No campaign ran here: `equipoise tune {records.workload}` searches the loss weights."
        return Section("campaign", "Campaign", (), empty)
    document, own = records.campaign["document"], records.campaign["of_this"]
    origin = f"This version has the weights of its candidate {own['candidate']}." if own else (
        "It is the latest one; this version has none of its weights.")  # fmt: skip
    verdict = document["verdict"][:1].upper() + document["verdict"][1:]
    parts: list[Part] = [Text(f"{document['study']}, {document['candidates']} candidates. {verdict}. {origin}")]
    if records.campaign["picture"] is not None:
        parts.append(picture(records.campaign["picture"], "Candidates by their objectives; the Pareto front in blue"))
    best, default = document["best"]["number"], document["default"]["number"]
    entries = {each["number"]: each for each in (document["default"], document["best"], *document["front"])}
    objectives = list(document["default"]["objectives"])
    weights = list(dict.fromkeys(key for each in entries.values() for key in each["weights"]))
    marks = {default: "default", best: "best"}
    rows = [
        [Cell(str(number_), marks.get(number_, "")), *(Cell(number(each["objectives"].get(key))) for key in objectives),
         *(Cell(number(each["weights"].get(key))) for key in weights)]
        for number_, each in sorted(entries.items())
    ]  # fmt: skip
    parts.append(
        Table(("candidate", *map(name, objectives), *weights), rows, caption="The front, the default, the best")
    )
    return Section("campaign", "Campaign", parts)


def lineage(records: Records) -> Section:
    """Digests of data, code and artefact, and what was changed since the version before."""
    made = records.made
    if made is None:
        return Section("lineage", "Lineage", (), "It is told of registered versions.")
    registered, data, code = made["registered"], made["data"], made["code"]
    rows = [
        ("registered", f"{registered.get('time', 'unknown')} by {registered.get('actor', 'unknown')}"),
        ("artefact", made["artefact"]["digest"]),
        ("model's own files", made["artefact"]["model_digest"]),
        ("data", data["digest"]),
        ("read from", data["source"]),
        ("DVC lock", data["dvc_lock"]),
        ("git commit", code["commit"]),
        ("source", code["digest"]),
        ("MLflow run", made["artefact"]["run_id"]),
        *((f"taught by {path}", digest) for path, digest in made["parents"]["beside"].items()),
    ]
    parts: list[Part] = [Facts([(key, str(value)) for key, value in rows if value])]
    if records.before is not None and records.changed:
        cells = [[Cell(key), *(Cell(_value(value)) for value in pair)] for key, pair in sorted(records.changed.items())]
        head = ("parameter", f"version {records.version}", f"version {records.before}")
        parts.append(Table(head, cells, caption=f"Parameters changed since version {records.before}"))
    elif records.before is not None:
        parts.append(Text(f"Its parameters are those of version {records.before}."))
    elif made["parameters"]:
        parts.append(Text("No older version was trained with parameters of its own.", "quiet"))
    return Section("lineage", "Lineage", parts)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value)) or NONE
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)
