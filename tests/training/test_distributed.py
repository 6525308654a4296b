"""Two gloo processes that share a step's micro-batches compute what one process computes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from components.errors import EquipoiseError
from components.training.distributed import Ranks, check_divisible
from tests.training import toy

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def train_on_two(prepared: Path, folder: Path, *arguments: str) -> None:
    shared = {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, "-m", "tests.training.toy", str(prepared), str(folder), *arguments]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        ends = [(p.communicate(timeout=240)[1], p.returncode) for p in processes]
    finally:
        for process in processes:
            process.kill()
    assert [code for _, code in ends] == [0, 0], ends


def test_two_processes_equal_one_dropout_and_curves_included(tmp_path: Path) -> None:
    """44 samples make six micro-batches, so that a step is whole; the toy has dropout, and both draw the same."""
    prepared = toy.prepare(toy.section(), tmp_path / "prepared")
    toy.train(toy.WORKLOAD, toy.section(), prepared, tmp_path / "one", device="cpu")
    train_on_two(prepared, tmp_path / "two")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-6, rtol=0)
    lines = [(tmp_path / name / "curves.jsonl").read_text().splitlines() for name in ("one", "two")]
    assert len(lines[0]) == len(lines[1])
    for ours, theirs in zip(*lines, strict=True):
        a, b = json.loads(ours), json.loads(theirs)
        assert a["step"] == b["step"]
        if "terms" in a:
            assert b["loss"] == pytest.approx(a["loss"], abs=1e-5)
            assert {n: t["n_valid"] for n, t in a["terms"].items()} == {n: t["n_valid"] for n, t in b["terms"].items()}
        assert ("gradients" in a) == ("gradients" in b)
        for name, row in a.get("gradients", {}).items():
            assert b["gradients"][name] == pytest.approx(row, rel=1e-4)
    assert any('"gradients"' in line for line in lines[0])


@pytest.mark.parametrize(("accumulate", "world", "advice"), [(1, 2, 2), (3, 2, 4), (4, 3, 3)])
def test_micro_batches_must_divide_over_ranks(accumulate: int, world: int, advice: int) -> None:
    with pytest.raises(EquipoiseError, match=f"training.accumulate: .*{world} ranks.*Set it to {advice} ") as caught:
        check_divisible(accumulate, Ranks(0, world))
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(("accumulate", "world"), [(1, 1), (4, 2), (2, 2)])
def test_even_shares_pass(accumulate: int, world: int) -> None:
    check_divisible(accumulate, Ranks(0, world))
