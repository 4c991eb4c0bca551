"""A dataset's annotations as a few flat arrays, which many processes can share."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from utils.annotations.annotation import Annotation


class AnnotationTable(Sequence[Annotation]):
    """A read-only sequence of `Annotation`s that holds no Python object per image.

    A forked process copies every page that it writes to, and to look at a Python object is to write: its count of
    references. So each loader process would in time have its own copy of a list of annotations. This takes about 40
    bytes for an image and 25 for an object, once for all processes.

    An `Annotation` is made when it is asked for, with views of the arrays, which are read-only; a slice is a table.

    | attribute        | shape, dtype   | meaning                                     |
    |------------------|----------------|---------------------------------------------|
    | boxes            | (M, 4) float32 | of all images, one after the other          |
    | labels           | (M,) int64     |                                             |
    | difficult        | (M,) bool      |                                             |
    | starts           | (N + 1,) int64 | image i has the objects starts[i] to starts[i + 1] |
    | sizes_hw         | (N, 2) int32   | height and width in pixels                  |
    """

    def __init__(self, annotations: Iterable[Annotation]):
        annotations = list(annotations)
        counts = np.array([len(a.labels) for a in annotations], np.int64)
        self.starts = np.concatenate([[0], counts.cumsum()])
        self.boxes = np.concatenate([np.zeros((0, 4), np.float32), *(a.boxes for a in annotations)])
        self.labels = np.concatenate([np.zeros(0, np.int64), *(a.labels for a in annotations)])
        self.difficult = np.concatenate([np.zeros(0, bool), *(a.difficult for a in annotations)])
        self.sizes_hw = np.array([(a.height, a.width) for a in annotations], np.int32).reshape(-1, 2)
        names = [os.fsencode(a.image_path.name) for a in annotations]
        self._names = b"".join(names)
        self._name_starts = np.concatenate([[0], np.array([len(name) for name in names], np.int64).cumsum()])
        folders = {a.image_path.parent: None for a in annotations}
        self._folders = tuple(str(folder).rstrip(os.sep) + os.sep for folder in folders)
        numbers = {folder: number for number, folder in enumerate(folders)}
        self._folder_of = np.array([numbers[a.image_path.parent] for a in annotations], np.int32)
        self._protect()

    def _protect(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._protect()  # which pickling forgets

    def __len__(self) -> int:
        return len(self.sizes_hw)

    @overload
    def __getitem__(self, key: int) -> Annotation: ...

    @overload
    def __getitem__(self, key: slice) -> "AnnotationTable": ...

    def __getitem__(self, key: int | slice) -> "Annotation | AnnotationTable":
        if isinstance(key, slice):
            return AnnotationTable(self[index] for index in range(*key.indices(len(self))))
        index = range(len(self))[key]
        objects = slice(self.starts[index], self.starts[index + 1])
        height, width = self.sizes_hw[index].tolist()
        # What an Annotation checks when it is made was checked when the one in the table was.
        made = object.__new__(Annotation)
        made.__dict__.update(
            image_path=Path(self.file(index)),
            width=width,
            height=height,
            boxes=self.boxes[objects],
            labels=self.labels[objects],
            difficult=self.difficult[objects],
        )
        return made

    def __iter__(self) -> Iterator[Annotation]:
        return (self[index] for index in range(len(self)))

    def objects(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the image's boxes (N, 4) and labels (N,), read-only."""
        objects = slice(self.starts[index], self.starts[index + 1])
        return self.boxes[objects], self.labels[objects]

    def file(self, index: int) -> str:
        """Return the image's file as text. A Path would search its parts among all others', and so write to theirs."""
        name = self._names[self._name_starts[index] : self._name_starts[index + 1]]
        return f"{self._folders[self._folder_of[index]]}{os.fsdecode(name)}"

    @property
    def counts(self) -> np.ndarray:
        """Return the objects in each image, (N,) int64."""
        return np.diff(self.starts)

    @property
    def nbytes(self) -> int:
        """Return the bytes of all of it, the folders' names aside."""
        arrays = [value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray)]
        return sum(arrays) + len(self._names)


@dataclass(frozen=True, eq=False)
class Objects:
    """The N objects of M images.

    | field | shape, dtype | meaning |
    |---|---|---|
    | boxes | (N, 4) float64 | xyxy, pixels of the object's image |
    | labels | (N,) int64 | from 1 |
    | image_of | (N,) int64 | index of the object's image |
    | sizes_wh | (M, 2) int64 | width and height of each image |
    """

    annotations: Sequence[Annotation]
    boxes: np.ndarray
    labels: np.ndarray
    image_of: np.ndarray
    sizes_wh: np.ndarray

    @classmethod
    def of(cls, annotations: Sequence[Annotation]) -> "Objects":
        return cls(
            annotations,
            np.concatenate([np.zeros((0, 4)), *(a.boxes for a in annotations)]),
            np.concatenate([np.zeros(0, np.int64), *(a.labels for a in annotations)]),
            np.repeat(np.arange(len(annotations)), [len(a.labels) for a in annotations]),
            np.array([(a.width, a.height) for a in annotations], np.int64).reshape(-1, 2),
        )

    def images_of_class(self, num_classes: int) -> np.ndarray:
        """Count the images that show each class, (num_classes,) int64; the background's is 0."""
        shown = np.unique(self.image_of * num_classes + self.labels)
        return np.bincount(shown % num_classes, minlength=num_classes)
