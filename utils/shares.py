"""How a batch is split between the processes that train together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """One process's part of a whole batch: `count` images from place `first` on, of `whole`; `count` may be 0."""

    first: int
    count: int
    whole: int


def share_of(whole: int, rank: int, size: int) -> Share:
    """The part of process `rank` of `size`; the parts differ by one image at most."""
    first = rank * whole // size
    return Share(first, (rank + 1) * whole // size - first, whole)
