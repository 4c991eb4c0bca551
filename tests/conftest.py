"""Settings that all tests share: one thread per process, so that tests that run side by side do not slow each other.

Two processes with two busy-waiting OpenMP threads each take several times as long on two cores as with one thread
each. The environment is inherited by the processes that tests start, and stands before torch is imported.
"""

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items):
    """Slow files first: with several processes, the last one to finish then has little left to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
