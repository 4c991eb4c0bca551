"""Settings that all tests share: one thread per process, so that tests that run side by side do not slow each other.

Two processes with two busy-waiting OpenMP threads each take several times as long on two cores as with one thread
each. The environment is inherited by the processes that tests start, and stands before torch is imported.
"""

import os
import sys
from pathlib import Path

import pytest

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items):
    """Slow files first: with several processes, the last one to finish then has little left to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


# Libraries set variables of their own when they are first used; these change what the tests that follow see.
_VARIABLES = (
    "COLUMNS DISPLAY HOME HTTPS_PROXY LOCAL_RANK MASTER_ADDR MASTER_PORT OMP_NUM_THREADS PATH PYTHONPATH RANK TMPDIR "
    "TORCH_HOME WORLD_SIZE XDG_CACHE_HOME https_proxy"
).split()


def _process_state() -> dict[str, object]:
    """Return what a test file has to put back, since others run in its process; scripts' signal handlers do no harm."""
    state: dict[str, object] = {f"environment {name}": os.environ.get(name) for name in _VARIABLES}
    state["working directory"] = str(Path.cwd())
    torch = sys.modules.get("torch")  # what stands for torch not imported is how it is after its import
    state["torch.hub directory"] = torch.hub._hub_dir if torch else None
    state["torch gradients"] = torch.is_grad_enabled() if torch else True
    return state


@pytest.fixture(autouse=True, scope="module")
def _same_process_state():
    """Fail in the file that leaves the process changed, not in another one that happens to run after it."""
    before = _process_state()
    yield
    after = _process_state()
    changed = sorted(key for key in before | after if before.get(key) != after.get(key))
    assert not changed, f"left changed for the tests that follow: {changed}"
