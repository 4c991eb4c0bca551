"""Where and how a network runs: device, precision, the versions to report."""

import os
import platform
import re
from pathlib import Path

import torch
import torchvision

from utils.errors import ConfigError


def pick_device(request: str = "auto") -> torch.device:
    """The device that `--device` names; "auto" takes the first CUDA GPU, else the CPU.

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
    """Autocast type for `--amp` auto|bf16|fp16|off; None is float32.

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


def cpu_count() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(device: torch.device) -> int:
    """Loader processes: up to eight to feed a GPU, of the CPUs that the processes of this machine share; on a CPU none,
    since they would take the network's cores.
    """
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(8, max(1, cpu_count() // processes)) if device.type == "cuda" else 0


def describe(device: torch.device, amp_dtype: torch.dtype | None) -> list[str]:
    """Lines for the log: versions, device, precision."""
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


def memory_limit(device: torch.device) -> int:
    """Bytes that this process may take: of the GPU's memory, or of the machine's what is not others'."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if Path("/proc/meminfo").is_file():
        available = re.search(r"MemAvailable: +([0-9]+) kB", Path("/proc/meminfo").read_text())
        return int(available[1]) * 1024 + memory_in_use(device)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 62


def memory_in_use(device: torch.device, *, reset: bool = False) -> int:
    """The peak, in bytes, of this process's memory on a GPU since the last `reset`, or of all its memory."""
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
