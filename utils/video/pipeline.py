"""Stages that run at the same time, each in a thread of its own, with short queues between them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Stage = Callable[[Iterable[Any]], Iterable[Any]]


class Pipeline:
    """`source` -> stage -> stage -> the thread that calls `take`; a context manager that stops and joins its threads.

    One thread per stage keeps the items in order, none lost or doubled. A full queue makes the stage before it wait,
    so memory is bounded, and to pause is not to call `take`. What a stage raises ends the stages after it,
    once they have worked off what came before, and is raised by `take`.

    Args:
        source: iterable of the first items; iterated in a thread too.
        stages: functions from an iterable of items to another, such as generator functions.
        capacity: items that wait between two stages.
        newest: the queue after the source drops its oldest item when it is full (counted in `dropped`), for a camera
            that waits for no one.
    """

    def __init__(self, source: Iterable[Any], *stages: Stage, capacity: int = 4, newest: bool = False):
        self._queues: list[Queue] = []
        self._threads = []
        items: Iterable[Any] = source
        for stage in (iter, *stages):
            queue = Queue(capacity, drop_oldest=newest and not self._queues)
            self._threads.append(threading.Thread(target=_run, args=(stage, items, queue), daemon=True))
            self._queues.append(queue)
            items = queue
        for thread in self._threads:
            thread.start()

    @property
    def dropped(self) -> int:
        """Return how many items `newest` dropped."""
        return self._queues[0].dropped

    def take(self, timeout: float | None = None) -> list[Any] | None:
        """Return all finished items, waiting `timeout` seconds for the first; None after the last."""
        return self._queues[-1].take(timeout)

    def close(self) -> None:
        """Stop every stage after its current item and wait for the threads; items still in queues are dropped."""
        for queue in self._queues:
            queue.close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_) -> None:
        self.close()


class Queue:
    """A bounded first-in first-out queue that can be ended, failed by its writer, and closed from outside."""

    def __init__(self, capacity: int, *, drop_oldest: bool = False):
        self.dropped = 0
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: Exception | None = None

    def put(self, item: Any) -> bool:
        """Append, waiting for room; False once the queue is closed."""
        with self._changed:
            while len(self._items) >= self._capacity and not self._closed:
                if self._drop_oldest:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def end(self, error: Exception | None = None) -> None:
        """Take no more items; `error` is raised to the reader after the last of them."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, timeout: float | None = None, *, most: int | None = None) -> list[Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended or self._closed, timeout)
            if self._items:
                taken = [self._items.popleft() for _ in range(min(most or len(self._items), len(self._items)))]
                self._changed.notify_all()
                return taken
            if self._ended and self._error is not None and not self._closed:
                raise self._error
            return None if self._ended or self._closed else []

    def __iter__(self) -> Iterator[Any]:
        while (items := self.take(most=1)) is not None:
            yield from items


def _run(stage: Stage, items: Iterable[Any], queue: Queue) -> None:
    error = None
    try:
        for item in stage(items):
            if not queue.put(item):
                break
    except Exception as caught:  # any: the thread that waits for the results raises it
        error = caught
    queue.end(error)
