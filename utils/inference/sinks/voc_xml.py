"""`--save voc`: one Pascal VOC XML file per image."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from utils.files import write_text_atomically
from utils.formats.voc.xml_text import xml_text
from utils.images.io import is_image
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
        write_text_atomically(path, xml_text(voc_tree(result, class_names)))

    def notes(self) -> Iterator[str]:
        doubled = [xml.name for xml in self.files.values() if is_image(xml.stem)]
        if doubled:
            yield (
                f"{len(doubled)} images share their stem with another, so their XML keeps the suffix, as in "
                f"{doubled[0]}; training pairs them by it, too"
            )


def voc_tree(result: ImageResult, class_names: Sequence[str]) -> ElementTree.Element:
    """Return one image's detections as an `annotation` element."""
    root = ElementTree.Element("annotation")
    head = {
        "folder": result.path.absolute().parent.name,
        "filename": result.path.name,
        "path": str(result.path.absolute()),
        "source": {"database": "Unknown"},
        "size": {"width": result.width, "height": result.height, "depth": 3},
        "segmented": 0,
    }
    _add(root, head)
    limit = np.array([result.width, result.height] * 2)
    for box, label in zip(result.detections.boxes, result.detections.labels.tolist(), strict=True):
        x1, y1, x2, y2 = np.clip(np.rint(box), 0, limit).astype(int).tolist()
        # Less than half a pixel wide or high: the least that annotation tools take.
        x1, y1 = min(x1, result.width - 1), min(y1, result.height - 1)
        x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
        corners = {"xmin": x1, "ymin": y1, "xmax": x2, "ymax": y2}
        entry = {"name": class_names[label], "pose": "Unspecified", "truncated": 0, "difficult": 0, "bndbox": corners}
        _add(root, {"object": entry})
    return root


def _add(parent: ElementTree.Element, content: dict) -> None:
    for tag, value in content.items():
        child = ElementTree.SubElement(parent, tag)
        if isinstance(value, dict):
            _add(child, value)
        else:
            child.text = str(value)
