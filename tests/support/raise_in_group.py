"""A process of a group: `torchrun raise_in_group.py FOLDER` notes in FOLDER what is raised in it."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torch_utils.distributed import join_group
from utils.errors import DatasetError, ToolkitError, stop

folder = Path(sys.argv[1])


def fail(error: Exception):
    raise error


def caught(group, error: Exception, *, in_block: bool) -> str:
    try:
        if in_block:
            with group.rank_zero_first():
                assert group.is_main  # the others do not come this far
                fail(error)
        group.on_rank_zero(lambda: fail(error))
    except Exception as raised:
        return f"{type(raised).__name__}: {raised}"


try:
    group = join_group(torch.device("cpu"))
    assert group.on_rank_zero(lambda: group.rank) == 0
    with group.rank_zero_first():
        pass
    apart = replace(group, host=dist.new_group(backend="gloo"))  # as beside GPUs
    assert apart.broadcast(group.rank) == 0 and apart.gather(group.rank) == [0, 1] and apart.all_max(group.rank) == [1]
    notes = [caught(group, OSError(5, "disk"), in_block=in_block) for in_block in (False, True)]
    notes.append(caught(group, KeyError("a fault of ours"), in_block=False))
    (folder / f"rank {group.rank}").write_text("\n".join(notes))
    group.on_rank_zero(lambda: fail(DatasetError("image 7 is no image\n  and more")))
except ToolkitError as error:
    with (folder / "ends").open("a") as file:
        print(f"{type(error).__name__}: {error}".replace("\n", "|"), file=file)
    stop(error)
