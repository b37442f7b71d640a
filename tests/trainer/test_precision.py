import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator

from lit_coiba.trainer.precision import automatic_precision


@pytest.fixture
def machine(monkeypatch):
    def build(cpu=None, gpu=None):
        """`cpu`: what torch says the CPU can; `gpu`: None, or whether it has bf16 in hardware."""
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu or {}, raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)

        def supported(including_emulation=True):
            return including_emulation or gpu

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)

    return build


@pytest.mark.parametrize("accelerator", ["auto", "cpu", CPUAccelerator()])
@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": False, "avx512_bf16": True}, "bf16-mixed"),
        ({"avx2": True, "amx_bf16": False, "avx512_bf16": False}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_a_cpu_is_asked_for_bf16_instructions(machine, accelerator, cpu, expected):
    machine(cpu)
    assert automatic_precision(accelerator) == expected


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda", CUDAAccelerator()])
@pytest.mark.parametrize(("gpu", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_is_asked_for_hardware_and_not_for_emulation(machine, accelerator, gpu, expected):
    machine({"amx_bf16": not gpu}, gpu)
    assert automatic_precision(accelerator) == expected


def test_the_device_that_is_used_decides_not_the_best_one(machine):
    machine({"avx2": True}, gpu=True)
    assert automatic_precision("cpu") == "32-true"


@pytest.mark.parametrize("accelerator", ["mps", "tpu", MPSAccelerator()])
def test_others_get_fp32(machine, accelerator):
    machine({"amx_bf16": True})
    assert automatic_precision(accelerator) == "32-true"


def test_a_torch_that_cannot_tell_gets_fp32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert automatic_precision() == "32-true"
