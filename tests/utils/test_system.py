"""Memory and disk space that are left, by the system's own account."""

import shutil
from pathlib import Path

import pytest

from utils.system import free_disk, free_memory, in_units


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux")
def test_free_memory_is_within_the_machines():
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert 0 < free_memory() <= 1024 * int(lines["MemTotal"].split()[0])


def test_the_disk_of_a_folder_that_is_yet_to_be_made(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    assert abs(free_disk(tmp_path / "a" / "b") - free) < 2**30


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 MiB"), (5 << 20, "5 MiB"), (1 << 30, "1.0 GiB"), (3 << 29, "1.5 GiB")]
)
def test_units(size, text):
    assert in_units(size) == text
