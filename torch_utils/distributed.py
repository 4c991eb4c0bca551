"""One process, or one of several that torchrun started: who writes, and how results come together."""

import atexit
import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from utils.errors import ConfigError, ToolkitError

REFUSED = "refused"  # key in torchrun's store, which outlives its processes: the error that ended the run for good
TIMEOUT = timedelta(minutes=30)  # for the slowest scan of a dataset that the others wait for


@dataclass(frozen=True)
class Group:
    """The processes that train together; one alone is a group of one, and every method works there, too.

    rank: this process's number. size: how many there are. device: where this one computes. host: torch's group for
    what no GPU is to be waited for; None where that is the usual one. store: torchrun's.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    host: Any = None
    store: dist.Store | None = None

    @property
    def is_main(self) -> bool:
        """Check whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def broadcast(self, value: Any = None) -> Any:
        """Return the first process's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.host)  # by way of GPUs, a checkpoint would take their memory
        return box[0]

    def on_rank_zero(self, make: Callable[[], Any]) -> Any:
        """Return in every process what `make` returns in the first; the others do not call it.

        What it raises is raised in every process, and a ToolkitError ends the run for good.
        """
        value, error = None, None
        if self.is_main:
            try:
                value = make()
            except Exception as raised:
                error = raised
        return self._outcome(value, error)

    def _outcome(self, value: Any, error: Exception | None) -> Any:
        """Return the first process's value in every process, or its error raised in every process."""
        if self.size > 1:
            known = error is None or isinstance(error, (ToolkitError, OSError))
            portable = error if known else RuntimeError(f"{type(error).__name__}: {error}")
            value, portable = self.broadcast((value, portable))
            error = error or portable
        if isinstance(error, ToolkitError):
            raise self.refuse(error)
        if error:
            raise error
        return value

    def refuse(self, error: ToolkitError) -> ToolkitError:
        """Return `error`, which all processes raise and one of each machine prints; ends torchrun's restarts, too.

        torchrun starts a group again whatever ended it, but what is wrong with data or arguments stays wrong.
        """
        if self.size > 1:
            error.reported = _local_rank() > 0
            if self.store and self.is_main:
                self.store.set(REFUSED, str(error).partition("\n")[0].rstrip(":"))
        return error

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, by rank, in every process."""
        if self.size == 1:
            return [value]
        box = [None] * self.size
        dist.all_gather_object(box, value, group=self.host)
        return box

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over all processes of a tensor on `device`, which stays as it is."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def all_max(self, *numbers: int) -> list[int]:
        """Return the largest of the processes' values of each number; no GPU is waited for."""
        if self.size == 1:
            return list(numbers)
        box = torch.tensor(numbers)
        dist.all_reduce(box, dist.ReduceOp.MAX, group=self.host)
        return box.tolist()

    def largest_shard(self, whole: int) -> int:
        """Return how many images of a batch of `whole` come to the process with the most."""
        return -(-whole // self.size)

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Give every process the first one's running statistics, which are those that are saved.

        In training each has its own, of its part of the batches, and no use for them.
        """
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    @contextlib.contextmanager
    def rank_zero_first(self) -> Iterator[None]:
        """Let the first process through the block before all others; what it raises there, all raise."""
        if not self.is_main:
            self._outcome(None, None)
        try:
            yield
        except Exception as error:
            if self.is_main:
                self._outcome(None, error)
            raise
        if self.is_main:
            self._outcome(None, None)

    def place(self, model: Any, *, sync_bn: bool) -> Any:
        """Move a model to this process's device, channels last; with `sync_bn`, its batch norms share statistics.

        Raises ConfigError for `sync_bn` between CPUs.
        """
        model = sync_batch_norm(model, self) if sync_bn else model
        return model.to(self.device, memory_format=torch.channels_last)

    def close(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def may_restart() -> bool:
    """Check whether torchrun starts the group anew should one of it die (`--max-restarts`)."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def sync_batch_norm(model: nn.Module, group: Group) -> nn.Module:
    """Return `model` with batch statistics taken over all processes; nothing changes for one alone.

    Raises ConfigError on CPUs, where torch has no such thing.
    """
    if group.device.type != "cuda" and group.size > 1:
        raise group.refuse(
            ConfigError("--sync-bn works between GPUs; on CPUs torch cannot share batch statistics: --no-sync-bn")
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if group.size > 1 else model


def join_group(device: torch.device) -> Group:
    """Join the group that torchrun's environment describes; without one, this process is alone on `device`.

    NCCL between GPUs, each process on the GPU of its local rank; gloo on CPUs. Raises ConfigError where `device` has a
    number, because that would put all processes on one GPU, where this machine has too few GPUs, and where an error
    has ended the run for good, before torchrun started the group again.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or not under_torchrun():
        return Group(device)
    rank, local_rank = int(os.environ["RANK"]), _local_rank()
    if device.type == "cuda":
        if device.index is not None:
            raise ConfigError(f"--device {device} with torchrun: each process takes a GPU of its own; --device cuda")
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"torchrun started process {local_rank} of this machine, which has {torch.cuda.device_count()} GPUs: "
                "give --nproc_per_node no more than that"
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    store = next(rendezvous("env://", timeout=TIMEOUT))[0]
    if store.check([REFUSED]):
        error = ConfigError(f"not tried again, because it would be the same error: {store.get(REFUSED).decode()}")
        error.reported = local_rank > 0
        raise error
    fresh = _fresh_store(store, rank, size)
    dist.init_process_group(backend, store=fresh, rank=rank, world_size=size, timeout=TIMEOUT)
    host = None if backend == "gloo" else dist.new_group(backend="gloo", timeout=TIMEOUT)
    atexit.register(_leave, host)
    return Group(device, rank, size, host, store)


def _leave(gloo: dist.ProcessGroup | None) -> None:
    """End gloo's threads, at which a process that ends by an error would else abort."""
    if dist.is_initialized():
        dist.destroy_process_group(gloo)


def _local_rank() -> int:
    """Return this process's number on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def _fresh_store(store: dist.Store, rank: int, size: int) -> dist.Store:
    """Return torchrun's `store`, under a name that the living processes agree upon.

    torch 2.14 keeps one store through all restarts of a group. What dead processes left there, their addresses, would
    be read by whoever comes before the process that writes them anew, and all would wait for ever. The first process
    makes up a name; each other one shows it a number of its own there and is sure once that has been answered.
    """
    if rank == 0:
        name = uuid.uuid4().hex
        store.set("start", name)
        for other in range(1, size):
            store.set(f"{name}/{other}/answer", store.get(f"{name}/{other}"))
        return dist.PrefixStore(name, store)
    own = uuid.uuid4().hex
    while True:
        name = store.get("start").decode()
        store.set(f"{name}/{rank}", own)
        with contextlib.suppress(dist.DistStoreError):  # nobody answers under a name of the dead
            store.wait([f"{name}/{rank}/answer"], timedelta(seconds=1))
            if store.get(f"{name}/{rank}/answer").decode() == own:
                return dist.PrefixStore(name, store)
        time.sleep(0.05)
