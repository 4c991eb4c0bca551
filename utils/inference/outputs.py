"""The files that a run over images leaves: their names, known before anything is computed, and their writing."""

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from utils.errors import ToolkitError
from utils.files import check_free
from utils.formats.voc.xml_text import escape_note
from utils.images.io import is_image, write_image
from utils.inference.exports import ImageResult, write_coco, write_crops, write_csv, write_voc
from utils.inference.sources import SourceImage, annotation_names, result_names

# Errors after which the next file would fail as well: no room, no right to write, no disk.
NOTHING_CAN_BE_WRITTEN = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ENODEV") if hasattr(errno, name)
}


class ImageOutputs:
    """Annotated images and, by `kinds`, what else is saved of them; no file is ever overwritten.

    Args:
        sources: the images that will be looked at.
        kinds: of "json", "csv", "voc", "crops".
    """

    def __init__(self, sources: Sequence[SourceImage], kinds: Collection[str]):
        names = [source.name for source in sources]
        self.kinds = tuple(dict.fromkeys(kinds))
        self.pictures = dict(zip(names, result_names(names), strict=True))
        self.annotations = dict(zip(names, (Path("voc", name) for name in annotation_names(names)), strict=True))
        self.crops = "crops"
        while any(name.parts[0] == self.crops for name in names):  # earlier cut-outs, looked at again
            self.crops += "_"
        self.folder = Path()  # to write to

    def check_free(self, folder: Path) -> None:
        """Raise ToolkitError, naming one, where `folder` holds a file that is to be written there."""
        planned = [*self.pictures.values()]
        planned += [Path(f"predictions.{kind}") for kind in ("json", "csv") if kind in self.kinds]
        planned += self.annotations.values() if "voc" in self.kinds else ()
        planned += [Path(self.crops)] if "crops" in self.kinds else []
        check_free(folder, planned)

    def write(self, result: ImageResult, image: np.ndarray, drawn: np.ndarray, class_names: Sequence[str]) -> list[str]:
        """All files of one image: `image` as it was read, `drawn` with its boxes, both RGB uint8 (H, W, 3).

        Returns what could not be written, each with its reason. Raises OSError where no file could be: a full disk.
        """
        name = self.pictures[result.name]
        tasks = [lambda: write_image(self.folder / name, drawn)]
        if "voc" in self.kinds:
            tasks.append(lambda: write_voc(self.folder / self.annotations[result.name], result, class_names))
        if "crops" in self.kinds:
            tasks.append(lambda: write_crops(self.folder / self.crops, image, result, class_names, name))
        return _failures(tasks)

    def write_tables(self, results: Sequence[ImageResult], class_names: Sequence[str]) -> list[str]:
        """The files about all images, none without any image; returns what could not be written."""
        writers = {"json": write_coco, "csv": write_csv}
        kinds = [kind for kind in writers if kind in self.kinds and results]
        # Of all tables, also on a full disk: a failed one takes no room from the next.
        return _failures(
            [lambda k=kind: writers[k](self.folder / f"predictions.{k}", results, class_names) for kind in kinds],
            fatal=(),
        )

    def summary(self, *, written: bool) -> Iterator[str]:
        """Lines that say where the results are."""
        if not written:
            yield "nothing was written"
            return
        names = {"json": "predictions.json", "csv": "predictions.csv", "voc": "voc/", "crops": f"{self.crops}/"}
        yield f"results: {self.folder}: " + ", ".join(["annotated images", *(names[kind] for kind in self.kinds)])
        where = [words for kind, words in (("voc", "<filename> in the XML"), ("csv", "the CSV")) if kind in self.kinds]
        if where:
            yield from (f"note: {line}" for line in escape_note(self.pictures, " and ".join(where)))
        doubled = [xml.name for xml in self.annotations.values() if is_image(xml.stem)] if "voc" in self.kinds else []
        if doubled:
            yield (
                f"note: {len(doubled)} images share their stem with another, so their XML keeps the suffix, as in "
                f"{doubled[0]}, by which training pairs them, too"
            )


def _failures(tasks: Iterable[Callable[[], None]], *, fatal: Collection[int] = NOTHING_CAN_BE_WRITTEN) -> list[str]:
    """Do all tasks; returns why some could not be done. Raises the OSErrors of a number in `fatal`."""
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
