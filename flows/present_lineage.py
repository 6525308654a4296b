"""Versions explained, compared and made again, as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flows.present import heads, table

PARTS = {"data": "data", "code": "code and packages", "training": "training", "parameters": "parameters",
         "validation": "validation metrics", "files": "files"}  # fmt: skip


def lineage(document: Mapping[str, Any]) -> str:
    """What a version was made of, then a paragraph a judgement."""
    data, code, made = document["data"], document["code"], document["registered"]
    rows = [
        ["version", f"{document['version']}, {document['kind']}, {document['standing']}"],
        ["registered", f"{made.get('time', 'unknown')} by {made.get('actor', 'unknown')}: {made.get('reason', '')}"],
        ["artefact", f"{document['artefact']['digest'][:16]}, {document['artefact']['bytes'] / 1e6:.1f} MB"],
        ["data", f"{_short(data['digest'])} from {data['source'] or 'what evaluate read'}"],
        ["code", f"commit {_short(code['commit'])}, source {_short(code['digest'])}, "
                 f"torch {document['training'].get('torch', code['packages'].get('torch'))}"],
    ]  # fmt: skip
    rows += [["training", _line(document["training"])]] if document["training"] else []
    weights = {key: value for key, value in document["losses"].items() if key.endswith("weight") and value}
    rows += [["loss weights", _line(weights)]] if weights else []
    if campaign := document["campaign"]:
        rows.append(["campaign", f"{campaign['study']} candidate {campaign['candidate']}: {campaign['verdict']}"])
    rows += [["taught by", f"{path} {digest[:16]}"] for path, digest in document["parents"]["beside"].items()]
    if (replaced := document["parents"]["replaced"]) is not None:
        rows.append(["replaced", f"version {replaced}"])
    lines = table(rows)
    for event in document["judgements"]:
        lines += [
            "",
            f"{event['time']} {event['event']} by {event['actor']}: {event['reason']}",
            *heads(event["heads"]),
        ]
    return "\n".join(lines)


def difference(document: Mapping[str, Any]) -> str:
    """A table a part in which two versions differ."""
    one, other = document["versions"]
    lines = [
        f"versions {one} and {other} of {document['workload']}: "
        + ("the same files" if document["equal"] else "two models")
    ]
    for part, title in PARTS.items():
        if rows := [[key, *map(_cell, values)] for key, values in document[part].items()]:
            head = [title, f"version {one}", f"version {other}", *(["difference"] if part == "validation" else [])]
            lines += ["", *table([head, *(row + [""] * (len(head) - len(row)) for row in rows)])]
    return "\n".join(lines)


def reproduced(document: Mapping[str, Any]) -> str:
    """Which files came out byte for byte."""
    rows = [[name, _short(pair["registered"]), _short(pair["made"]), _verdict(pair)]
            for name, pair in document["files"].items()]  # fmt: skip
    closing = "byte for byte" if document["equal"] else "not byte for byte"
    said = [f"otherwise than then: {each}" for each in document["differs"]]
    end = f"version {document['version']} came out {closing}, {document['seconds']:.0f} s, in {document['folder']}"
    return "\n".join([*table([["file", "registered", "made", ""], *rows]), *said, end])


def _verdict(pair: Mapping[str, Any]) -> str:
    return "equal" if pair["registered"] == pair["made"] else "another"


def _short(digest: str | None) -> str:
    return digest[:16] if digest else "unknown"


def _line(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_cell(value)}" for key, value in values.items() if value not in ([], {}))


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(map(str, value.values()))
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_cell, value))
    text = "-" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:16]}…"
