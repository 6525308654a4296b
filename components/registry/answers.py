"""From raw requests to answers: the one path that `predict`, the served model and the infrastructure check share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import bad_data

if TYPE_CHECKING:
    from components.workload import Predictor, Workload

SERVING = "serving.json"  # beside the model: workload, columns that hold JSON, golden requests and answers


def answer(
    record: Workload, predictor: Predictor, rows: Sequence[Mapping[str, Any]], place: str = "input"
) -> list[dict]:
    """One answer per request, in order.

    Args:
        rows: JSON objects as `predict` reads them, a line each.
        place: how an error names the rows: `place line 3`.

    Raises:
        EquipoiseError: E_DATA (65) for a request that cannot be read; nothing is answered then.
    """
    samples = [record.read_request(row, f"{place} line {number}") for number, row in enumerate(rows, 1)]
    return [record.render(prediction) for prediction in predictor.predict(samples)] if samples else []


def json_columns(examples: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the request's fields that are lists or objects, sorted; a table may hold them as JSON text."""
    return sorted({name for row in examples for name, value in row.items() if isinstance(value, (list, dict))})


def plain_rows(records: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Requests from a table's records: absent cells (None, NaN) are dropped, text in `columns` is parsed as JSON.

    Raises:
        EquipoiseError: E_DATA (65) for text that is not JSON.
    """
    rows = []
    for number, record in enumerate(records, 1):
        row = {name: value for name, value in record.items() if not _absent(value)}
        for name in columns:
            if isinstance(row.get(name), str):
                row[name] = _parse(row[name], f"input line {number}: {name}")
        rows.append(row)
    return rows


def read_serving(path: Path) -> dict[str, Any]:
    """The serving.json of an artefact whose manifest has been verified."""
    return json.loads(path.read_text(encoding="utf-8"))


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_data(
            place, "must be a list, an object or JSON text", got=text, hint="Send the value itself"
        ) from error
