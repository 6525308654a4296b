"""Two processes (gloo), each with its own micro-batches: counts and gradients joined by SUM equal one big batch."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.testing import assert_close

from tests.contracts.loss_cases import CASES, big_gradient, single

STEPS = 2
RANKS = ([[0], [1, 2]], [[3, 4], [5]])


def work(rank: int, folder: str) -> None:
    """One rank: every term's gradient, joined; rank 0 writes them down."""
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", len(RANKS))
    dist.init_process_group("gloo", store=store, rank=rank, world_size=len(RANKS), timeout=timedelta(seconds=60))
    gradients = {}
    for number, case in enumerate(CASES):
        for name in case.terms:
            gradients[f"{number}/{name}"] = joined_gradient(case, name, parts_of(case.terms[name], rank))
    if rank == 0:
        Path(folder, "gradients.json").write_text(json.dumps(gradients))
    dist.destroy_process_group()


def parts_of(term, rank: int) -> list[list[int]]:
    """The micro-batches of a rank; terms that compare samples get all of its rows at once."""
    return [[row for part in RANKS[rank] for row in part]] if term.compares_samples else RANKS[rank]


def joined_gradient(case, name: str, parts: list[list[int]]) -> list:
    composite, parameters = single(case, name), case.parameters()
    batches = [case.collate(rows) for rows in parts]
    counts = composite.counts(batches, STEPS)
    for count in counts.values():
        dist.all_reduce(count)
    for batch in batches:
        for outputs in case.rollout(parameters, batch, STEPS):
            composite(outputs, batch, counts, 0.5)[0].backward(retain_graph=True)
    joined = []
    for p in parameters:
        gradient = torch.zeros_like(p) if p.grad is None else p.grad
        dist.all_reduce(gradient)
        joined.append(gradient.tolist())
    return joined


def test_two_ranks_equal_one_big_batch(tmp_path):
    context = mp.start_processes(work, args=(str(tmp_path),), nprocs=len(RANKS), join=False, start_method="spawn")
    assert context is not None
    deadline = time.monotonic() + 120
    try:
        while not context.join(timeout=max(deadline - time.monotonic(), 0)):  # returns whenever one rank has ended
            assert time.monotonic() < deadline, "the ranks wait for each other"
    finally:
        for process in context.processes:
            if process.is_alive():
                process.kill()
    found = json.loads((tmp_path / "gradients.json").read_text())
    rows = [row for parts in RANKS for part in parts for row in part]
    for number, case in enumerate(CASES):
        for name in case.terms:
            expected = big_gradient(single(case, name), case, [rows], STEPS)
            assert_close([torch.tensor(g, dtype=torch.float64) for g in found[f"{number}/{name}"]], expected)
