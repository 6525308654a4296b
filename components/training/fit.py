"""How many candidates the memory holds, and how many of them the cache: measured on the model, not guessed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.losses.composite import Composite
from components.training.lanes import first_batch, fresh_model
from components.training.precision import autocast, choose_device, choose_precision, reproducible
from components.training.seeds import seed_everything
from components.training.stacked import KEPT, layout_of
from components.workload import Workload

SHARE = 0.5  # of the memory that is free now, which the tables and one run of lanes may take
BACKWARD = 2  # what the backward pass holds, in activations of the forward pass
ON_CPU = 512 << 20  # bytes of activations a run of lanes may have on a CPU, where more lanes at once gain nothing
ON_DEVICE = 0.2  # of a device's whole memory


@dataclass(frozen=True)
class Footprint:
    """Bytes of one lane: `row`, of all its tables; `activations`, kept for the backward pass of one micro-batch."""

    row: int
    activations: int


def how_many_fit(workload: Workload, section: Any, prepared: Path, device: str | None = None) -> int:
    """How many candidates of this recipe can be trained together in the memory that is free now; at least 1.

    Raises:
        EquipoiseError: E_MISSING (66), E_MANIFEST (65) for the data.
    """
    with reproducible(section.training.threads):
        place = choose_device(device)
        own = footprint(workload, section, prepared, place)
        room = SHARE * free_bytes(place) - BACKWARD * own.activations * _run(own, place)
        return max(1, int(room // own.row))


def lanes_at_once(workload: Workload, section: Any, prepared: Path, device: torch.device) -> int:
    """How many lanes one forward and backward pass takes: the same on every machine's CPU, so that a run that goes on
    elsewhere computes what it would have."""
    return _run(footprint(workload, section, prepared, device), device)


def activation_bytes(workload: Workload, section: Any, prepared: Path, device: str | None = None) -> int:
    """Bytes that the first training micro-batch keeps for its backward pass; of one recipe always the same.

    Raises:
        EquipoiseError: E_MISSING (66), E_MANIFEST (65) for the data.
    """
    with reproducible(section.training.threads):
        return footprint(workload, section, prepared, choose_device(device)).activations


def footprint(workload: Workload, section: Any, prepared: Path, device: torch.device) -> Footprint:
    """Measures the first training micro-batch on one model."""
    model, batch = fresh_model(workload, section, prepared, device), first_batch(workload, section, prepared, device)
    composite = Composite(workload.terms, section.loss)
    counts = composite.counts([batch], workload.supervision_steps(section))
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *batch.values())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    seed_everything(section.training.seed, "footprint")
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        with autocast(device, choose_precision(section.training.precision, device)):
            steps = list(workload.rollout(model, batch, section))
        losses = [composite(outputs, batch, counts, 0.5)[0] for outputs in steps]
    del losses
    return Footprint((len(KEPT) + 1) * 4 * layout_of(model).numbers, sum(kept.values()))


def free_bytes(device: torch.device) -> int:
    """Memory that is free for a computation on this device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    path = Path("/proc/meminfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _run(own: Footprint, device: torch.device) -> int:
    whole = ON_DEVICE * torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else ON_CPU
    return max(1, int(whole // max(own.activations, 1)))
