"""Training state on disk that survives a kill at any moment, and the finished model.

Two slots take turns, so that the last good one is never being written. A slot is a safetensors file and a JSON
document; the document goes first when a slot is overwritten and comes last when it is complete, so a slot with a
document is a whole slot. It names the SHA-256 of the tensors and of itself: a flipped bit anywhere is noticed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from components.data import strict_json
from components.errors import EquipoiseError
from components.files import sha256_file, sha256_json, write_atomically, write_json

SLOTS = (0, 1)
FORMAT = 1


@dataclass(frozen=True)
class Slot:
    """A verified checkpoint: which slot it lies in, its document and its tensors (on the CPU)."""

    index: int
    serial: int
    state: dict[str, Any]
    tensors: dict[str, Tensor]


def save_slot(folder: Path, last: Slot | None, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Slot:
    """Writes the slot that `last` does not occupy; `last` stays readable until the new one is complete.

    Raises:
        EquipoiseError: E_WRITE (73) or E_IO (74); the earlier slot is intact then.
    """
    index = 0 if last is None else 1 - last.index
    serial = 1 if last is None else last.serial + 1
    document, weights = _paths(folder, index)
    document.unlink(missing_ok=True)
    write_bytes(weights, as_bytes(tensors))
    body = {"format": FORMAT, "serial": serial, "tensors": sha256_file(weights), "state": dict(state)}
    write_json(document, body | {"digest": sha256_json(body)})
    return Slot(index, serial, dict(state), {})


def newest_slot(folder: Path, warn: Callable[[str], object]) -> Slot | None:
    """The newest undamaged slot, or None. `warn` is told of a damaged one, which is passed over."""
    found = []
    for index in SLOTS:
        document, _ = _paths(folder, index)
        if document.exists():
            try:
                found.append((index, _verified_document(document)))
            except ValueError as error:
                warn(f"warning: {document} is damaged ({error}); looking for an older checkpoint")
    for index, body in sorted(found, key=lambda item: -item[1]["serial"]):
        try:
            return Slot(
                index, body["serial"], body["state"], _verified_tensors(_paths(folder, index)[1], body["tensors"])
            )
        except (ValueError, OSError) as error:
            warn(f"warning: {_paths(folder, index)[1]} is damaged ({error}); looking for an older checkpoint")
    return None


def clear(folder: Path) -> None:
    """Removes both slots, documents first."""
    for path in [_paths(folder, index)[part] for part in (0, 1) for index in SLOTS]:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes what writes that were killed half-way left behind. Only for who alone writes into `folder`."""
    for path in folder.rglob(".*.part"):
        path.unlink(missing_ok=True)


def as_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """safetensors bytes; tensors that share memory (tied weights) are written once per name."""
    return safetensors.torch.save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file by `write_atomically`: the old one or the new one, whole."""

    def write(handle: BinaryIO) -> None:
        handle.write(content)

    write_atomically(path, write)


def _paths(folder: Path, index: int) -> tuple[Path, Path]:
    return folder / f"slot-{index}.json", folder / f"slot-{index}.safetensors"


def _verified_document(path: Path) -> dict[str, Any]:
    """Raises ValueError for anything that is not the document as it was written."""
    try:
        body = strict_json.read(path)
    except EquipoiseError as error:
        raise ValueError("not readable as JSON") from error
    if not isinstance(body, dict) or "digest" not in body:
        raise ValueError("not a checkpoint document")
    digest = body.pop("digest")
    if sha256_json(body) != digest:
        raise ValueError("its digest does not match")
    if body.get("format") != FORMAT:
        raise ValueError(f"format {body.get('format')}, this version reads {FORMAT}")
    return body


def _verified_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    if sha256_file(path) != digest:
        raise ValueError("its SHA-256 does not match")
    return safetensors.torch.load(path.read_bytes())


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Moments and step counts by parameter name: `<parameter>/<key>`."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`, in place, on each parameter's device."""
    parameters = dict(model.named_parameters())
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        optimizer.state[parameters[name]][key] = value.to(parameters[name].device)


def random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """States of torch's, CUDA's, NumPy's and Python's global generators, as tensors and plain values."""
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda-{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    kind, keys, *numpy_rest = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    tensors["numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    plain = {"numpy": [kind, *numpy_rest], "python": [version, list(internal), gauss]}
    return tensors, plain


def restore_random_state(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    """Sets all generators to what `random_state` returned; CUDA ones as far as these devices are there."""
    torch.set_rng_state(tensors["torch"])
    cuda = [tensors[f"cuda-{i}"] for i in range(torch.cuda.device_count()) if f"cuda-{i}" in tensors]
    if cuda:
        torch.cuda.set_rng_state_all(cuda)
    kind, *numpy_rest = plain["numpy"]
    np.random.set_state((kind, tensors["numpy"].numpy().astype(np.uint32), *numpy_rest))
    version, internal, gauss = plain["python"]
    random.setstate((version, tuple(internal), gauss))


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors named `prefix/...`, without the prefix."""
    return {name.removeprefix(f"{prefix}/"): t for name, t in tensors.items() if name.startswith(f"{prefix}/")}


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `under`: every name with `prefix/` before it."""
    return {f"{prefix}/{name}": t for name, t in tensors.items()}
