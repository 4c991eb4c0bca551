"""Batches on their way to the device, one ahead of the step that uses them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.errors import ToolkitError

Target = dict[str, Tensor | int]


@dataclass(frozen=True)
class Batch:
    """Images, uint8 (3, H, W), and what a detector needs of their targets, on the device; `host` are all targets."""

    images: Sequence[Tensor]
    targets: Sequence[Target]
    host: Sequence[Target]


def prefetch(batches: Iterable, device: torch.device) -> Iterator[Batch]:
    """Yield a loader's batches on `device`. Raises the ToolkitError that a worker gives in place of a batch.

    To a GPU the next batch is copied while the step before it computes: from pinned memory, on a stream of its own,
    without waiting. On a CPU nothing is copied, and no batch is asked for before it is needed.
    """
    if device.type != "cuda":
        for batch in batches:
            yield _moved(batch, device)
        return
    copies, compute = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    ahead = None
    for batch in batches:
        with torch.cuda.stream(copies):
            following = _moved(batch, device)
        if ahead:
            yield ahead
        compute.wait_stream(copies)
        for tensor in _tensors(following):  # memory of one stream that another will read
            tensor.record_stream(compute)
        ahead = following
    if ahead:
        yield ahead


def _moved(batch: tuple[Sequence[Tensor], Sequence[Target]] | ToolkitError, device: torch.device) -> Batch:
    if isinstance(batch, ToolkitError):
        raise batch
    images, targets = batch
    needed = []
    for target in targets:
        needed.append({key: target[key].to(device, non_blocking=True) for key in ("boxes", "labels")})
        if "short_side" in target:
            needed[-1]["short_side"] = target["short_side"]  # a number on the host
    return Batch([image.to(device, non_blocking=True) for image in images], needed, targets)


def _tensors(batch: Batch) -> list[Tensor]:
    return [*batch.images, *(t[key] for t in batch.targets for key in ("boxes", "labels"))]
