"""Which device, which number format, how many threads: what a run computes with, decided once and recorded."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.utils import deterministic as memory_filling

from components.errors import misconfigured
from components.modules.attention import Block

BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


def choose_device(name: str | None) -> torch.device:
    """The named device, or CUDA where there is one, else the CPU.

    Raises:
        EquipoiseError: E_DEVICE (78) for a name torch does not know or a device this machine does not have.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise misconfigured(
            "EQUIPOISE_DEVICE",
            "must name a device of this machine",
            got=name,
            hint="Use cpu, cuda or cuda:0, or leave it unset",
            code="DEVICE",
        ) from error
    return device


def choose_precision(asked: str, device: torch.device) -> str:
    """`fp32` or `bf16`; `auto` takes bf16 only where the hardware multiplies it natively.

    bf16 asked for without such hardware is obeyed with a warning: it is many times slower than fp32.
    """
    native = has_native_bf16(device)
    if asked == "auto":
        return "bf16" if native else "fp32"
    if asked == "bf16" and not native:
        warnings.warn(f"{device} has no native bf16: training.precision bf16 will be slower than fp32", stacklevel=2)
    return asked


def has_native_bf16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 in hardware; emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and cpu_has_bf16(_cpuinfo())


def cpu_has_bf16(cpuinfo: str) -> bool:
    """Whether the text of /proc/cpuinfo lists AMX or AVX-512 bf16 instructions."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return any(key.strip() == "flags" and not BF16_FLAGS.isdisjoint(flags.split()) for key, _, flags in lines)


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context of the model's own arithmetic; losses run outside of it, in float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@contextlib.contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Fixed thread count and deterministic kernels inside, the caller's settings again afterwards.

    Kernels without a deterministic form warn instead of failing, as some devices lack them.
    """
    before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = memory_filling.fill_uninitialized_memory  # pyright: ignore[reportAttributeAccessIssue]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory_filling.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        memory_filling.fill_uninitialized_memory = fill  # pyright: ignore[reportAttributeAccessIssue]


def compile_blocks(model: nn.Module) -> None:
    """Compiles each attention block in place: the time goes there, and the recursion around it stays plain Python."""
    for module in model.modules():
        if isinstance(module, Block):
            module.compile(dynamic=True)


def eager(compiled: bool) -> contextlib.AbstractContextManager[object]:
    """The context in which compiled blocks run as plain Python: compiled code frees what a second backward needs."""
    return torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()
