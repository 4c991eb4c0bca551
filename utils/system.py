"""The memory, disk space and CPUs that may still be taken."""

import os
import re
import shutil
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Return the bytes that may still be taken, by the machine and a container's limits; None where unknown."""
    try:
        available = re.search(r"MemAvailable: +([0-9]+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        available = None
    if available is None:
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return None
    return min([int(available[1]) * 1024, *_left_by_cgroups()])


def free_disk(folder: Path) -> int:
    """Return the bytes that may still be written where `folder` is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def in_units(size: int) -> str:
    """Return bytes as text, such as "123 MiB" or "4.5 GiB"."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _left_by_cgroups() -> list[int]:
    """Return what is left of each limit on memory that a control group of this process or one above it has."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":  # version 2
            root, limit, used, cached = CGROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used, cached = CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", (
                "total_inactive_file"
            )  # fmt: skip
        else:
            continue
        folder = root / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group == root.parent:
                break
            try:
                most, taken = (group / limit).read_text().strip(), int((group / used).read_text())
                pages = re.search(rf"^{cached} ([0-9]+)$", (group / "memory.stat").read_text(), re.MULTILINE)
            except (OSError, ValueError):
                continue
            if most != "max":
                left.append(int(most) - taken + (int(pages[1]) if pages else 0))
    return left


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def boot_id() -> str:
    """Return the name of this start of the machine; empty where the system gives none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def loader_processes(on_gpu: bool) -> int:
    """Return the number of loader processes: up to eight to feed a GPU, by the CPUs of this machine's processes.

    On a CPU none, because they would take the network's cores.
    """
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(8, max(1, cpu_count() // processes)) if on_gpu else 0
