"""Prepared rows as padded tensors: one gather a batch, no Python per sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.config import ToolCallingConfig
from components.data.buckets import in_order, shuffled, spread
from components.data.manifest import verify_once
from components.data.splits import check_split
from components.data.tokenizer import PAD
from components.errors import misconfigured
from components.workloads.tool_calling.elements import ElementArrays, open_elements
from components.workloads.tool_calling.mixing import Mix, mix, mixed
from components.workloads.tool_calling.rows import Queries, Rows, open_rows

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """One verified split of prepared data."""

    rows: Rows
    elements: ElementArrays


def open_split(prepared: Path, split: str) -> Split:
    """The arrays of a split, after the manifest was found to hold.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when it was changed.
    """
    check_split(prepared, split)
    manifest = verify_once(prepared)
    digest = manifest["files"].get(f"{split}/tokens.npy", {}).get("sha256", "")
    return _open(str(prepared.resolve()), split, (prepared / "manifest.json").stat().st_mtime_ns, digest)


@lru_cache(maxsize=6)
def _open(prepared: str, split: str, _changed: int, _digest: str) -> Split:
    elements = open_elements(Path(prepared) / "elements")
    held = ElementArrays(**{name: np.array(values) for name, values in vars(elements).items()})
    return Split(open_rows(Path(prepared) / split), held)


def batches(
    section: ToolCallingConfig, prepared: Path, split: str, epoch: int, first: int = 0
) -> Iterator[dict[str, Tensor]]:
    """Micro-batches of a split; order and contents are a pure function of (training.seed, epoch) and the data.

    Training batches are shuffled, mix conversations as `mixing` says and ask only a share of the slots nobody
    mentioned; the other splits come by length and ask everything. `first` skips that many batches (to go on within an
    epoch). `decision.alpha: auto` adds tool_call_share, a scalar float32, to each training batch.
    """
    data = open_split(prepared, split)
    rows = data.rows
    if section.model.heads == "ids":
        _check_arguments(rows, section.data.max_tool_args)
    if split != "train":
        for indices in in_order(rows.lengths, section.training.batch_tokens)[first:]:
            yield collate(rows, indices, data.elements)
        return
    slots = asked_slots(rows, section.data.absent_slot_share, section.training.seed, epoch)
    shares = _class_shares(section, rows)
    made = _mix(section, rows, epoch)
    for chosen in _shuffled(section, made, epoch)[first:]:
        few, asked, samples = mixed(rows, slots, made.parts[chosen], made.offers[chosen])
        batch = collate(few, np.arange(len(chosen)), data.elements, asked)
        yield batch | {"sample_id": torch.from_numpy(samples)[batch["sample_id"]]} | shares


def batch_count(section: ToolCallingConfig, prepared: Path, split: str, epoch: int) -> int:
    """How many micro-batches `batches` yields."""
    rows = open_split(prepared, split).rows
    if split == "train":
        return len(_shuffled(section, _mix(section, rows, epoch), epoch))
    return len(in_order(rows.lengths, section.training.batch_tokens))


def _mix(section: ToolCallingConfig, rows: Rows, epoch: int) -> Mix:
    data = section.data
    return mix(rows, data.joined_share, data.extra_offer_share, data.window + 1, section.training.seed, epoch)


def _shuffled(section: ToolCallingConfig, made: Mix, epoch: int) -> list[Index]:
    return shuffled(made.lengths, section.training.batch_tokens, section.training.seed, epoch)


def _class_shares(section: ToolCallingConfig, rows: Rows) -> dict[str, Tensor]:
    if section.loss.decision.alpha != "auto":
        return {}
    labelled = rows.decision[rows.decision >= 0]
    return {"tool_call_share": torch.tensor(float(labelled.mean()) if len(labelled) else 0.5)}


def _check_arguments(rows: Rows, most: int) -> None:
    found = int(rows.arg_index.max(initial=-1)) + 1
    if found > most:
        raise misconfigured(
            "tool_calling.data.max_tool_args",
            f"must be at least the {found} arguments of the largest tool with `heads: ids`",
            got=most,
            hint="Raise it, or use `heads: schema`",
        )


def asked_slots(rows: Rows, share: float, seed: int, epoch: int) -> Queries:
    """The slot queries of a training epoch: all that are labelled with a span, and `share` of the absent ones.

    Which absent ones is decided query by query from (seed, epoch, query), so it does not depend on the batches.
    """
    order, _ = rows.slots_by_row
    chance = _chance(np.arange(len(rows.slot_start), dtype=np.uint64), seed, epoch) < np.float64(share)
    keep = (np.asarray(rows.slot_start) > 0) | ((np.asarray(rows.slot_start) == 0) & chance)
    kept = order[keep[order]]
    owner = np.asarray(rows.sample_row)[np.asarray(rows.slot_sample)[kept]]
    return kept, np.searchsorted(owner, np.arange(rows.count + 1)).astype(np.int64)


def _chance(index: NDArray[np.uint64], seed: int, epoch: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each index: splitmix64 (Steele et al. 2014) of index, seed and epoch."""
    mask = (1 << 64) - 1
    state = index * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
        (seed * 0xD1B54A32D192ED03 + epoch * 0x8CB92BA72F3D8DD7) & mask
    )
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((state ^ (state >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def collate(rows: Rows, indices: Index, elements: ElementArrays, slots: Queries | None = None) -> dict[str, Tensor]:
    """The rows with those indices as one batch (int64 unless said).

    Args:
        rows: where they are; indices: [R].
        elements: the table their element ids point into.
        slots: slot queries to ask, by row; None asks all.

    Returns:
        tokens, roles, turns [R, L]; attention, is_text [R, L] bool; element_tokens [U, W], element_kinds,
        element_classes [U]; tools [R, T], slots [R, P], intents [R, I] indices into U, -1 pads; tool_parameters
        [R, T, P] (0 no parameter of the tool, 1 optional, 2 required); sample_row, sample_position, sample_id, tool,
        intent [S], decision [S] float32; slot_position, slot_element, slot_start, slot_end [R, Qs]; arg_position,
        arg_tool, arg_element, arg_index, arg_start, arg_end [R, Qa], -1 pads.
    """
    indices = np.asarray(indices, dtype=np.int64)
    batch = _token_columns(rows, indices) | _element_columns(rows, indices, elements) | _sample_columns(rows, indices)
    batch |= _query_columns(
        rows, indices, rows.slots_by_row if slots is None else slots, "slot", ("element", "start", "end")
    )
    batch |= _query_columns(rows, indices, rows.args_by_row, "arg", ("tool", "element", "index", "start", "end"))
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def _token_columns(rows: Rows, indices: Index) -> dict[str, NDArray]:
    at, present = spread(rows.row_offsets, indices)
    text = present & (rows.ends[at] > 0)
    return {
        "tokens": np.where(present, rows.tokens[at], PAD).astype(np.int64),
        "roles": np.where(present, rows.roles[at], 0).astype(np.int64),
        "turns": np.where(present, rows.turns[at], 0).astype(np.int64),
        "attention": present,
        "is_text": text,
    }


def _element_columns(rows: Rows, indices: Index, elements: ElementArrays) -> dict[str, NDArray]:
    lists = {}
    for name in ("tool", "slot", "intent"):
        at, present = spread(getattr(rows, f"row_{name}_offsets"), indices)
        flat = getattr(rows, f"row_{name}s")
        lists[f"{name}s"] = np.where(present, flat[at] if len(flat) else 0, -1)
    used = np.unique(np.concatenate([ids.ravel() for ids in lists.values()]))
    used = used[used >= 0].astype(np.int64)
    columns: dict[str, NDArray] = {
        name: np.where(ids >= 0, np.searchsorted(used, np.maximum(ids, 0)), -1).astype(np.int64)
        for name, ids in lists.items()
    }
    at, present = spread(elements.offsets, used)
    columns["element_tokens"] = np.where(present, elements.tokens[at] if len(elements.tokens) else PAD, PAD).astype(
        np.int64
    )
    columns["element_kinds"] = elements.kind[used].astype(np.int64)
    columns["element_classes"] = elements.vocabulary[used].astype(np.int64)
    belongs = np.zeros((len(used) + 1, len(used) + 1), dtype=np.int64)  # the last row and column belong to padding
    at, present = spread(elements.tool_param_offsets, used)
    owner, _ = np.nonzero(present)
    param = np.searchsorted(used, elements.tool_params[at[present]])
    belongs[owner, param] = 1 + elements.tool_param_required[at[present]]
    columns["tool_parameters"] = belongs[columns["tools"][:, :, None], columns["slots"][:, None, :]]
    return columns


def _sample_columns(rows: Rows, indices: Index) -> dict[str, NDArray]:
    order, offsets = rows.samples_by_row
    at, present = spread(offsets, indices)
    samples = order[at[present]]
    row, _ = np.nonzero(present)
    columns = {name: np.asarray(getattr(rows, name)[samples]).astype(np.int64) for name in ("tool", "intent")}
    return columns | {
        "decision": rows.decision[samples].astype(np.float32),
        "sample_row": row.astype(np.int64),
        "sample_position": rows.sample_position[samples].astype(np.int64),
        "sample_id": samples,
    }


def _query_columns(
    rows: Rows, indices: Index, queries: Queries, kind: str, names: tuple[str, ...]
) -> dict[str, NDArray]:
    order, offsets = queries
    at, present = spread(offsets, indices)
    query = order[at[present]]
    values = {name: getattr(rows, f"{kind}_{name}")[query] for name in names}
    values["position"] = rows.sample_position[getattr(rows, f"{kind}_sample")[query]]
    columns = {}
    for name, found in values.items():
        columns[f"{kind}_{name}"] = np.full(present.shape, -1, dtype=np.int64)
        columns[f"{kind}_{name}"][present] = found
    return columns
