"""Whole images out of interlaced video, whose images hold two moments in alternate rows."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph


class Deinterlacer:
    """FFmpeg's `bwdif`, one image for each; it uses the neighbours in time, so that each comes one later.

    It begins with the first image that says it is interlaced (`active`); images that are not pass unchanged.
    """

    def __init__(self) -> None:
        self.active = False
        self._graph: Graph | None = None
        self._kind: tuple = ()
        self._waiting: deque = deque()  # what came with the images that are inside

    def put(self, frame: av.VideoFrame, *with_it) -> Iterator[tuple]:
        """Take in an image and whatever belongs to it; yields those that are finished, as (image, *with_it)."""
        self.active = self.active or frame.interlaced_frame
        if not self.active:
            yield frame, *with_it
            return
        kind = (frame.width, frame.height, frame.format.name)
        if kind != self._kind:  # a filter has one size
            yield from self.finish()
            self._open(frame)
            self._kind = kind
        self._waiting.append(with_it)
        # Its own stamps may repeat or be missing, and the filter keeps nothing but their order.
        self._count += 1
        frame.pts, frame.time_base = self._count, Fraction(1, 1000)
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._finished()

    def finish(self) -> Iterator[tuple]:
        """Yield the images that are still inside, after the last one."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._finished()
            self._graph, self._kind = None, ()

    def _open(self, frame: av.VideoFrame) -> None:
        self._count = 0
        self._graph = graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        deinterlace = graph.add("bwdif", "mode=send_frame:deint=interlaced")
        sink = graph.add("buffersink")
        source.link_to(deinterlace)
        deinterlace.link_to(sink)
        graph.configure()

    def _finished(self) -> Iterator[tuple]:
        assert self._graph is not None
        while True:
            try:
                image = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield image, *self._waiting.popleft()
