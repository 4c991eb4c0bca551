"""Device and precision of a network, and the versions to report."""

import os
import platform
import re
import shutil

import torch
import torchvision
from torch import nn
from torch.utils._triton import has_triton

from utils.errors import ConfigError
from utils.system import cpu_count


def pick_device(request: str = "auto") -> torch.device:
    """Return the device that `--device` names; "auto" takes the first CUDA GPU, else the CPU.

    Raises ConfigError for a device that is not there.
    """
    if request == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    expected = f"--device {request}: expected auto, cpu, cuda, cuda:N or, on a Mac, mps"
    if not re.fullmatch(r"cpu|mps|cuda(:[0-9]{1,4})?", request):
        raise ConfigError(f"{expected}; cuda:{request} is a GPU" if re.fullmatch("[0-9]{1,4}", request) else expected)
    kind, _, index = request.partition(":")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"--device mps: torch {torch.__version__} has no Metal here; use --device auto or cpu")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            there = f"; the last is cuda:{count - 1}" if count else ""
            remedy = "" if count else "; use --device cpu, or check the driver with nvidia-smi"
            raise ConfigError(
                f"--device {request}: torch {torch.__version__} sees {count} CUDA GPUs here{there}{remedy}"
            )
        if index:  # else pinned memory, and questions about the current GPU, would go to the first one
            torch.cuda.set_device(int(index))
    return torch.device(request)


def pick_amp(device: torch.device, request: str = "auto") -> torch.dtype | None:
    """Return the autocast type for `--amp` auto|bf16|fp16|off; None is float32.

    auto: bfloat16 where the hardware multiplies in it (CUDA from Ampere on; CPUs with AVX512-BF16, AMX or SVE-BF16),
    else float16 on CUDA, else float32.
    """
    if request == "off":
        return None
    if request == "bf16":
        return torch.bfloat16
    if request == "fp16":
        if device.type != "cuda":
            raise ConfigError(f"--amp fp16 needs a CUDA GPU, the device is {device}: use bf16, auto or off")
        return torch.float16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        if any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")):
            return torch.bfloat16
    return None


def describe(device: torch.device, amp_dtype: torch.dtype | None) -> list[str]:
    """Return lines for the log: versions, device, precision."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        hardware = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    else:
        hardware = f"{torch.cpu.get_capabilities().get('cpu_name') or platform.machine()}, {cpu_count()} cores"
    number = {None: "float32", torch.bfloat16: "bfloat16 autocast", torch.float16: "float16 autocast"}[amp_dtype]
    return [
        f"python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}",
        f"device: {device} ({hardware}), {number}",
    ]


def compile_parts(model: nn.Module, log) -> None:
    """Compile backbone and box head, in place; names in the state dict stay the same.

    The rest of a detector is lists of boxes whose lengths change with every image. Compilation happens at the first
    step and at the first detection. Raises ConfigError where the compiler that torch.compile needs is not there.
    """
    on_gpu = next(model.parameters()).is_cuda
    compiler = os.environ.get("CXX") or "g++"
    if on_gpu and not has_triton():
        raise ConfigError("--compile needs the package triton for this GPU, which is not installed: leave it out")
    if not on_gpu and not any(map(shutil.which, (compiler, "clang++", "cl"))):
        raise ConfigError(f"--compile needs a C++ compiler, and there is no {compiler}: install it, or leave it out")
    log.info("compiling backbone and box head; the first step takes minutes")
    torch._dynamo.config.cache_size_limit = 64  # training and detection, each in several sizes
    for part in (model.backbone, model.roi_heads.box_head):
        part.compile(dynamic=True)
