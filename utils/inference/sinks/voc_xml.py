"""`--save voc`: one Pascal VOC XML file per image."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.files import write_text_atomically
from utils.formats.voc.writer import voc_xml
from utils.images.formats import is_image
from utils.inference.sinks.sink import ImageResult, Sink
from utils.inference.sources import annotation_names


class ImageSink(Sink):
    """`voc/*.xml`: objects as labelImg writes them, in whole pixels, to be corrected there and trained on again."""

    place = "voc/"
    holds_names = "<filename> in the XML"

    def __init__(self, images: Mapping[Path, Path]):
        super().__init__(images)
        names = list(images)
        self.files = dict(zip(names, (Path("voc", name) for name in annotation_names(names)), strict=True))

    def planned(self) -> list[Path]:
        return list(self.files.values())

    def write_image(self, folder: Path, image: np.ndarray, result: ImageResult, class_names: Sequence[str]) -> None:
        path = folder / self.files[result.name]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, voc_text(result, class_names))

    def notes(self) -> Iterator[str]:
        doubled = [xml.name for xml in self.files.values() if is_image(xml.stem)]
        if doubled:
            yield (
                f"{len(doubled)} images share their stem with another, so their XML keeps the suffix, as in "
                f"{doubled[0]}; training pairs them by it, too"
            )


def voc_text(result: ImageResult, class_names: Sequence[str]) -> str:
    """Return one image's detections as an annotation file, in whole pixels."""
    limit = np.array([result.width, result.height] * 2)
    boxes = np.clip(np.rint(result.detections.boxes), 0, limit)
    # Less than half a pixel wide or high: the least that annotation tools take.
    boxes[:, :2] = np.minimum(boxes[:, :2], limit[:2] - 1)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    names = [class_names[label] for label in result.detections.labels]
    return voc_xml(result.path.name, (result.width, result.height), names, boxes, path=result.path.absolute())
