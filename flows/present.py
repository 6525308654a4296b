"""Results as text for people. Each function takes the document that --json would print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.errors import EquipoiseError, Exit, one_line

STATUS = {"PROMOTE": Exit.DONE, "UNCHANGED": Exit.DONE, "HOLD": Exit.HOLD, "REJECT": Exit.REJECT}
SHOWN = 40  # lines of a report


def stage(document: Mapping[str, Any]) -> str:
    """A stage's report, or the metrics beside their baselines."""
    if "metrics" in document:
        return metrics(document)
    lines = stages(document["stages"])
    figures = {name: value for name, value in document["report"].items() if name != "alarms"}  # said with the stage
    numbers = [f"{name} {_value(value)}" for name, value in _flat(figures).items()]
    return "\n".join([*lines, *numbers[:SHOWN]])


def metrics(document: Mapping[str, Any]) -> str:
    """The verdict in words where there is one, then a row a metric: the model, and each baseline that has most of them.

    Baselines with a few figures only, such as a mix that is merely held, stand in metrics.json.
    """
    known = document["baselines"]
    names = sorted(name for name, values in known.items() if 2 * len(values) >= len(document["metrics"]))
    head = ["metric", "model", *names]
    values, besides = _flat(document["metrics"]), [_flat(document["baselines"][name]) for name in names]
    rows = [[key, _value(value), *(_value(b.get(key, "")) for b in besides)] for key, value in values.items()]
    opening = [f"{document['workload']}, {document['split']} split, {document['n']} samples"]
    said = [document["sentence"]] if "sentence" in document else []
    return "\n".join([*opening, *said, *table([head, *rows])])


def stages(document: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line a stage: ran or up to date, seconds; below them the alarms that the training raised."""
    rows = [[name, "ran" if s["ran"] else "up to date", f"{s['seconds']:.1f} s"] for name, s in document.items()]
    return [*table(rows), *(line for s in document.values() for line in alarms(s.get("alarms", ())))]


def alarms(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Three lines an alarm: what was seen, what may be behind it, what to do."""
    lines = []
    for row in rows:
        place = "" if row["step"] is None else f" at step {row['step']}"
        seen = [f"alarm {row['rule']}{place}: {row['message']}"]
        because = [f"  possible causes: {'; '.join(row['causes'])}"] if row["causes"] else []
        lines += [one_line(line) for line in (*seen, *because, f"  try: {'; '.join(row['remedies'])}")]
    return lines


def retrain(document: Mapping[str, Any]) -> str:
    """What a retraining did and why."""
    closing = (
        f"{document['decision']}: version {document['version']}, champion {document['champion']}. {document['reason']}."
    )
    campaign = [tune(document["campaign"])] if "campaign" in document else []
    return "\n".join([*stages(document["stages"]), *heads(document["heads"]), closing, *campaign])


def heads(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a judged head: difference, interval, verdict."""
    rows = [
        [head_name(h), f"{h['difference']:+.4f}", f"{h['low']:+.4f} to {h['high']:+.4f}", h["verdict"]] for h in judged
    ]
    return table([["head", "difference", "interval", "verdict"], *rows]) if rows else []


def head_name(judged: Mapping[str, Any]) -> str:
    """Head and metric of a row of the gate's report, and its slice where it is one."""
    return f"{judged['head']} {judged['metric']}" + (f" of {judged['slice']}" if judged.get("slice") else "")


def gate(document: Mapping[str, Any]) -> str:
    """The gate's answer about one version."""
    reason = document.get("text") or f"{document['decision']}: {document['reason']}."
    return "\n".join([*heads(document["heads"]), f"version {document['version']}: {reason}"])


def rollback(document: Mapping[str, Any]) -> str:
    """Which version serves now."""
    champion, replaced = document["champion"], document["replaced"]
    if replaced is None:
        return f"{document['workload']}: automatic promotion goes on; champion is version {champion}."
    held = "Automatic promotion waits for newer data or `equipoise rollback --release`."
    return f"{document['workload']}: champion is version {champion} again, version {replaced} was withdrawn. {held}"


def history(document: Mapping[str, Any]) -> str:
    """The ledger, a line an event."""
    lines = []
    if "events" in document:
        head = ["time", "event", "version", "replaced", "generation", "actor", "reason"]
        rows = [[_value(e[key]) for key in ("time", *head[1:])] for e in document["events"]]
        lines = table([head, *rows]) if rows else ["nothing has happened yet"]
        lines.append(f"champion: {_value(document['champion']) or 'none'}")
    if "verified" in document:
        whole = document["verified"]
        lines.append(f"ledger is whole: {whole['events']} events, last hash {whole['hash'][:16] or 'none'}")
    return "\n".join(lines)


def status(document: Mapping[str, Any]) -> str:
    """What serves, a paragraph a workload."""
    lines = []
    for name, each in document.items():
        champion = each["champion"]
        if champion is None:
            lines.append(f"{name}: no champion yet; run `equipoise retrain {name}`")
        else:
            since = f"since {champion['since']} (generation {each['generation']})"
            lines.append(f"{name}: version {champion['version']} serves {since}")
            lines.append(f"  why: {champion['why']}")
            if each["looks"]:
                left = "" if each["alpha_left"] is None else f", alpha {each['alpha_left']:.3g} left for further ones"
                lines.append(f"  looks at its hold-out: {each['looks']}{left}")
        lines += [f"  {line}" for line in alarms(each["alarms"])]
    return "\n".join(lines)


def doctor(document: Mapping[str, Any]) -> str:
    """A line a finding, then what could not be asked, then the sum."""
    found = document["findings"]
    lines = []
    for each in found:
        fault = EquipoiseError(
            each["code"].removeprefix("E_"), each["place"], each["rule"], got=each["got"], hint=each["hint"],
            exit_code=Exit.CONFIGURATION,
        )  # fmt: skip
        lines.append(f"repaired: {fault}" if each["fixed"] else str(fault))
    lines += [one_line(f"note: {note}.") for note in document["notes"]]
    fixed = sum(each["fixed"] for each in found)
    total = f"{len(found)} found, {fixed} repaired, {len(found) - fixed} left" if found else "nothing is wrong"
    return "\n".join([*lines, f"{total}."])


def predict(document: Mapping[str, Any]) -> str:
    """How many answers went where."""
    return f"{document['n']} answers by version {document['version']} in {document['output']}"


def data(document: Mapping[str, Any]) -> str:
    """The catalogue, and what each workload reads."""
    rows = [[s["name"], s["state"], _value(s["bytes"]), s["licence"], s["path"]] for s in document["sources"]]
    lines = table([["source", "state", "bytes", "licence", "path"], *rows]) if rows else []
    for name, reads in document["reads"].items():
        lines.append(f"{name} reads {reads['source']} ({reads['state']})")
    return "\n".join(lines)


def deploy(document: Mapping[str, Any]) -> str:
    """What is scheduled."""
    verb = "would schedule" if document["dry_run"] else "scheduled"
    upcoming = ", ".join(document["next"])
    limit = f"at most {document['concurrency_limit']} at a time, {document['collision_strategy']} otherwise"
    return f'{verb} {document["deployment"]}: cron "{document["cron"]}" UTC, {limit}; next {upcoming}'


def tune(document: Mapping[str, Any]) -> str:
    """The campaign's end: the front beside the default, the verdict, where the rest lies."""
    best, default = document["best"], document["default"]
    names = list(default["objectives"])
    shown = {each["number"]: each for each in (default, best, *document["front"])}
    rows = [
        [_of(number, best, default), *(_value(each["objectives"][n]) for n in names),
         ", ".join(f"{key} {value:g}" for key, value in each["weights"].items())]
        for number, each in sorted(shown.items())
    ]  # fmt: skip
    counts = f"{document['study']}: {document['candidates']} candidates, {document['cpu_seconds']:.1f} CPU s"
    files = [f"{name}: {path}" for name, path in document["files"].items()]
    return "\n".join([counts, *table([["candidate", *names, "weights"], *rows]), *files, f"{document['verdict']}."])


def helped(document: Mapping[str, Any]) -> str:
    """What is left to say for a process that helped."""
    return f"{document['study']}: {document['candidates']} candidates, nothing is left to help with"


def study(document: Mapping[str, Any]) -> str:
    """The study's table, what was resampled, where the rest lies, and its closing sentence."""
    from components.tuning.study_report import notes, rows

    head = f"{document['study']}: {len(document['runs'])} runs, {document['cpu_seconds']:.1f} CPU s"
    files = [f"{name}: {path}" for name, path in document["files"].items()]
    return "\n".join(
        [head, *table(rows(document)), *map(one_line, notes(document)), *files, f"{document['sentence']}."]
    )


def _of(number: int, best: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    marks = [name for name, each in (("default", default), ("best", best)) if each["number"] == number]
    return f"{number} ({', '.join(marks)})" if marks else str(number)


def init(document: Mapping[str, Any]) -> str:
    """Where the project lies and how to go on."""
    lines = [f"project {document['project']} for {document['workload']} in {document['folder']}"]
    return "\n".join([*lines, "next:", *(f"  {command}" for command in document["next"])])


def report(document: Mapping[str, Any]) -> str:
    """The report's headline, what it has nothing to show of, and where it lies."""
    lines = [document["said"], *(f"{chapter}: {why}" for chapter, why in document["without"].items())]
    return "\n".join([*map(one_line, lines), f"report: {document['output']} ({document['bytes'] / 1e6:.1f} MB)"])


def tour(document: Mapping[str, Any]) -> str:
    """The closing page of `make run`."""
    return document["page"]


def table(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Rows of text as aligned columns."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))] if cells else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
