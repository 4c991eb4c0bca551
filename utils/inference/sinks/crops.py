"""`--save crops`: an image of each object."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.errors import ToolkitError
from utils.images.io import write_image
from utils.inference.sinks.sink import ImageResult, Sink


class ImageSink(Sink):
    """`crops/CLASS/a.jpg_1.jpg`: each object cut out, numbered best first, in the format of its annotated image."""

    def __init__(self, images: Mapping[Path, Path]):
        super().__init__(images)
        self.place = "crops/"
        while any(name.parts[0] == Path(self.place).name for name in images):  # earlier crops, detected on again
            self.place = f"{self.place[:-1]}_/"

    def write_image(self, folder: Path, image: np.ndarray, result: ImageResult, class_names: Sequence[str]) -> None:
        """Write the objects of one image; one that fails does not keep the others from it.

        Raises the first such error at the end.
        """
        failures: list[ToolkitError] = []
        name, boxes = self.images[result.name], result.detections.boxes
        corners = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1)
        for number, (box, label) in enumerate(zip(corners, result.detections.labels.tolist(), strict=True), 1):
            x1, y1, x2, y2 = np.clip(box, 0, [result.width, result.height] * 2).astype(int).tolist()
            if x1 >= x2 or y1 >= y2:
                continue
            # The whole name, because a.jpg and a.png both have a first object.
            file_name = f"{name.name}_{number}{name.suffix}"
            path = folder / self.place / folder_name(class_names[label]) / name.parent / file_name
            try:
                write_image(path, image[y1:y2, x1:x2])
            except ToolkitError as error:
                failures.append(error)
        if failures:
            raise failures[0]


def folder_name(class_name: str) -> str:
    """Return a class's name as a folder's: without what some system refuses in one."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", class_name).strip(". ") or "_"
