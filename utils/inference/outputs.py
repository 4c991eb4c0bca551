"""The files that a run over images leaves: their names, known before anything is computed, and their writing."""

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from utils.errors import ToolkitError
from utils.files import check_free
from utils.formats.voc.writer import escape_note
from utils.images.io import write_image
from utils.inference.sinks import create_sink
from utils.inference.sinks.sink import ImageResult, Sink
from utils.inference.sources import SourceImage, result_names

# Errors after which the next file would fail as well: no room, no right to write, no disk.
NOTHING_CAN_BE_WRITTEN = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ENODEV") if hasattr(errno, name)
}


class ImageOutputs:
    """Annotated images and, by `kinds`, what else is saved of them; no file is ever overwritten.

    Args:
        sources: the images that detection will run on.
        kinds: keys of `utils.inference.sinks.SINKS`.

    Attributes:
        folder: where to write; set once it is made.
    """

    def __init__(self, sources: Sequence[SourceImage], kinds: Collection[str]):
        names = [source.name for source in sources]
        self.images = dict(zip(names, result_names(names), strict=True))
        self.sinks: list[Sink] = [create_sink(kind, self.images) for kind in dict.fromkeys(kinds)]
        self.folder = Path()

    def check_free(self, folder: Path) -> None:
        """Raise ToolkitError, naming one, where `folder` holds a file that is to be written there."""
        check_free(folder, [*self.images.values(), *(path for sink in self.sinks for path in sink.planned())])

    def write(self, result: ImageResult, image: np.ndarray, drawn: np.ndarray, class_names: Sequence[str]) -> list[str]:
        """Write all files of one image: `image` as it was read, `drawn` with its boxes, both RGB uint8 (H, W, 3).

        Returns what could not be written, each with its reason. Raises OSError where no file could be: a full disk.
        """
        tasks = [partial(write_image, self.folder / self.images[result.name], drawn)]
        tasks += [partial(sink.write_image, self.folder, image, result, class_names) for sink in self.sinks]
        return _failures(tasks)

    def write_tables(self, results: Sequence[ImageResult], class_names: Sequence[str]) -> list[str]:
        """Write the files about all images, none without any image; returns what could not be written."""
        if not results:
            return []
        # Of all tables, also on a full disk: a failed one takes no room from the next.
        tasks = [partial(sink.write_table, self.folder, results, class_names) for sink in self.sinks]
        return _failures(tasks, fatal=())

    def summary(self, *, written: bool) -> Iterator[str]:
        """Yield lines that say where the results are."""
        if not written:
            yield "nothing was written"
            return
        yield f"results: {self.folder}: " + ", ".join(["annotated images", *(sink.place for sink in self.sinks)])
        holders = sorted(sink.holds_names for sink in self.sinks if sink.holds_names)
        if holders:
            yield from (f"note: {line}" for line in escape_note(self.images, " and ".join(holders)))
        yield from (f"note: {line}" for sink in self.sinks for line in sink.notes())


def _failures(tasks: Iterable[Callable[[], None]], *, fatal: Collection[int] = NOTHING_CAN_BE_WRITTEN) -> list[str]:
    """Do all tasks and return why some could not be done. Raises the OSErrors of a number in `fatal`."""
    failures = []
    for task in tasks:
        try:
            task()
        except (ToolkitError, OSError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if isinstance(cause, OSError) and cause.errno in fatal:
                raise
            failures.append(str(error))
    return failures
