"""Detection of bf16, devices by name, settings that are put back."""

import pytest
import torch

from components.errors import EquipoiseError
from components.training.precision import autocast, choose_device, choose_precision, cpu_has_bf16, reproducible

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu sse avx512f avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("flags\t\t: fpu avx2 avx512f avx512_vnni\n", False),
        ("model name\t: amx_bf16 lookalike\nflags\t\t: fpu\n", False),
        ("", False),
    ],
)
def test_cpu_flags(cpuinfo: str, expected: bool) -> None:
    assert cpu_has_bf16(cpuinfo) is expected


def test_fp32_is_obeyed_and_auto_is_one_of_both() -> None:
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("auto", CPU) in {"fp32", "bf16"}


def test_bf16_without_hardware_is_obeyed_with_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert choose_precision("bf16", torch.device("meta")) == "bf16"
    assert "slower than fp32" in str(recwarn.pop(UserWarning).message)


def test_autocast_changes_the_number_format_only_when_asked() -> None:
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for precision, expected in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast(CPU, precision):
            assert layer(x).dtype is expected


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "cpu:x"])
def test_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(EquipoiseError, match="E_DEVICE EQUIPOISE_DEVICE: must name a device") as caught:
        choose_device(name)
    assert caught.value.exit_code == 78


def test_settings_are_put_back() -> None:
    threads = torch.get_num_threads()
    with reproducible(threads + 1):
        assert torch.get_num_threads() == threads + 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_weights_used_without_and_then_with_gradient_keep_it_under_autocast() -> None:
    """A recursion runs the same weights first without gradient: the cast of then must not be reused."""
    layer = torch.nn.Linear(4, 4)
    with autocast(CPU, "bf16"):
        with torch.no_grad():
            first = layer(torch.ones(2, 4))
        second = layer(first)
    second.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0
