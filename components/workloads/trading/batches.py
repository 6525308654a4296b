"""Prepared days as windows of bars: one gather a batch, no Python per sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.config_trading import TradingConfig, TradingLoss
from components.data.arrays import open_array
from components.data.buckets import in_order, shuffled
from components.data.manifest import verify_once
from components.data.splits import check_split
from components.errors import missing
from components.losses.profit import warn_of_rare_classes


@dataclass(frozen=True)
class Split:
    """One verified split: scaled features [D, F] of all days; day, label, pnl [S] of the split's samples."""

    features: NDArray[np.float32]
    day: NDArray[np.int32]
    label: NDArray[np.int64]
    pnl: NDArray[np.float32]
    class_counts: Tensor


def open_split(prepared: Path, split: str) -> Split:
    """The arrays of a split, after the manifest was found to hold.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when it was changed.
    """
    check_split(prepared, split)
    verify_once(prepared)
    return _open(str(prepared.resolve()), split, (prepared / "manifest.json").stat().st_mtime_ns)


@lru_cache(maxsize=6)
def _open(prepared: str, split: str, _changed: int) -> Split:
    folder = Path(prepared)
    path = folder / "features.npy"
    if not path.is_file():
        raise missing(str(path), "the prepared array must be there", got="no file", hint="Run prepare for trading")
    day, label, pnl = (open_array(folder / split / f"{name}.npy") for name in ("day", "label", "pnl"))
    strategies = int(np.load(folder / "train" / "returns.npy", mmap_mode="r", allow_pickle=False).shape[1])
    counts = np.bincount(open_array(folder / "train" / "label.npy"), minlength=strategies)
    return Split(np.load(path, allow_pickle=False), day, label, pnl, torch.from_numpy(counts))


def batches(section: TradingConfig, prepared: Path, split: str, epoch: int) -> Iterator[dict[str, Tensor]]:
    """Micro-batches of a split; order and contents are a pure function of (training.seed, epoch) and the data.

    Yields:
        features [B, W, F] float32, the bars up to and including the day; label [B] int64; pnl [B] float32; sample_id
        [B] int64; class_counts [C] int64 of the whole training split. B x W <= training.batch_tokens: a bar is a token.
    """
    data = open_split(prepared, split)
    window = section.data.window
    lengths = np.full(len(data.day), window)
    if split == "train":
        if epoch == 0:
            _warn(section.loss, data.class_counts)
        order = shuffled(lengths, section.training.batch_tokens, section.training.seed, epoch)
    else:
        order = in_order(lengths, section.training.batch_tokens)
    for chosen in order:
        yield collate(data, chosen, window)


def collate(data: Split, chosen: NDArray[np.int64], window: int) -> dict[str, Tensor]:
    """The samples with those indices as one batch."""
    days = data.day[chosen].astype(np.int64)[:, None] + np.arange(1 - window, 1)
    return {
        "features": torch.from_numpy(data.features[days]),
        "label": torch.from_numpy(data.label[chosen].astype(np.int64)),
        "pnl": torch.from_numpy(data.pnl[chosen].astype(np.float32)),
        "sample_id": torch.from_numpy(chosen),
        "class_counts": data.class_counts,
    }


def _warn(loss: TradingLoss, counts: Tensor) -> None:
    limits = {t.class_weight_limit for t in (loss.profit, loss.task) if t.weight > 0 and t.class_weights == "auto"}
    for limit in sorted(limits):
        warn_of_rare_classes(counts, limit)
