"""Counts the operations whose result the host needs before it can continue: a GPU waits in each."""

from collections import Counter

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# Output size, or a number on the host, depends on the data. `where(condition)` arrives as nonzero, `.item()`, `float()`
# and `if tensor` as _local_scalar_dense.
NAMES = {
    "nonzero", "masked_select", "_local_scalar_dense", "equal", "_unique2", "unique_dim", "unique_consecutive",
    "bincount", "repeat_interleave", "nms",
}  # fmt: skip


class DataDependent(TorchDispatchMode):
    """A mode that counts such operations while it is entered: in `counts` by name, in `total` all."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    @property
    def total(self) -> int:
        return self.counts.total()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.name().partition("::")[2].partition(".")[0]
        if name in NAMES:
            self.counts[name] += 1
        elif name in ("index", "index_put", "index_put_"):
            masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
            self.counts[f"{name} by mask"] += bool(masks)
        elif name in ("_to_copy", "copy_"):
            source = args[1] if name == "copy_" else args[0]
            self.counts["copy to the host"] += leaves_device(source, result)
        self.counts += Counter()  # drops names with a count of 0
        return result


def leaves_device(source, result) -> bool:
    return isinstance(source, Tensor) and source.device.type != "cpu" and result.device.type == "cpu"
