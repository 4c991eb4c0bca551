"""Annotations on disk to batches in memory."""

import atexit
import multiprocessing
import signal
from collections.abc import Collection, Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from utils.annotations import Annotation
from utils.augment import Made, SampleMaker
from utils.errors import DatasetError, ToolkitError
from utils.images import read_image
from utils.repeats import draw_epoch, epoch_length
from utils.sample import Sample
from utils.shares import share_of
from utils.signals import ignore_signals

# Loader workers are forked. OpenCV's threads do not survive that: a worker that waits for them waits for ever. So there
# are to be none in the parent, before its first image; workers are the parallelism.
cv2.setNumThreads(1)


class DetectionDataset(Dataset):
    """Samples for torchvision's detectors.

    An item is `(image, target)`:

    | name                 | shape       | dtype   | meaning                                                          |
    |----------------------|-------------|---------|------------------------------------------------------------------|
    | image                | (3, H, W)   | uint8   | RGB; turned to float on the device                               |
    | target["boxes"]      | (N, 4)      | float32 | xyxy in pixels of this image; N may be 0                         |
    | target["labels"]     | (N,)        | int64   | from 1; 0 is the background                                      |
    | target["image_id"]   | ()          | int64   | position in `annotations`                                        |
    | target["sources"]    | (1..4,)     | int64   | positions of all images in it, more than one in a mix            |
    | target["short_side"] |             | int     | to resize this image to, in pixels; only with "multi-scale"      |

    For training, an image is shrunk to the size that the model will use, by the model's own interpolation, before it is
    augmented; it is enlarged only in mixes and by "lsj". For evaluation images are as on disk.

    A training item is asked for by `(epoch, index)`, epochs from 1, and depends on those and `seed` alone. An index
    beyond the number of images is a further copy, augmented differently: `image + copy * number`.

    Args:
        augment: names from `utils.augmentations.AUGMENTATIONS`, for training; "flip" is always among them.
        mix_until: last epoch with mosaics and other mixes; None for all.
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        *,
        img_size: int,
        training: bool,
        augment: Collection[str] = (),
        mix_until: int | None = None,
        seed: int = 0,
    ):
        self.annotations = annotations
        self.seed = seed
        self.make = None
        if training:
            counts = [len(annotation.labels) for annotation in annotations]
            self.make = SampleMaker(augment, counts, img_size, mix_until=mix_until)

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[Tensor, dict[str, Tensor | int]] | ToolkitError:
        try:
            return self._made(key)
        except ToolkitError as error:
            if get_worker_info() is None:
                raise
            return error  # raised in a worker, it would come with the worker's traceback in its message

    def _made(self, key: int | tuple[int, int]) -> tuple[Tensor, dict[str, Tensor | int]]:
        epoch, index = key if isinstance(key, tuple) else (0, range(len(self))[key])
        image_id = index % len(self)
        if self.make is None:
            made = Made(self.load(image_id), [image_id])
        else:
            made = self.make(self.load, image_id, np.random.default_rng([self.seed, epoch, index]), epoch)
        target = {
            "boxes": torch.from_numpy(made.sample.boxes),
            "labels": torch.from_numpy(made.sample.labels),
            "image_id": torch.tensor(image_id),
            "sources": torch.tensor(made.sources),
        }
        if made.short_side is not None:
            target["short_side"] = made.short_side
        return torch.from_numpy(np.ascontiguousarray(made.sample.image.transpose(2, 0, 1))), target

    def load(self, index: int) -> Sample:
        """The image as on disk with its boxes. Raises DatasetError where the file is no longer what was scanned."""
        annotation = self.annotations[index]
        image = read_image(annotation.image_path)
        expected = (annotation.height, annotation.width, 3)
        if image.shape != expected:
            raise DatasetError(
                f"{annotation.image_path}: has changed since the start: expected {expected}, found {image.shape}"
            )
        return Sample(image, annotation.boxes, annotation.labels)

    def names_of(self, target: dict[str, Tensor]) -> list[str]:
        """File names of the images that a target's sample was made from."""
        return [str(self.annotations[source].image_path) for source in target["sources"].tolist()]


class EpochBatches(Sampler):
    """An epoch's batches of shuffled `(epoch, index)` keys; set `.epoch` before iterating, `.start` to leave some out.

    The order depends on seed and epoch alone. Of `size` processes each takes its part of every batch, by `share_of`;
    where that is none, the batch's first key. The epoch travels in the key because workers that live through all epochs
    never see a change of their data set.

    Args:
        length: number of images.
        repeats: how often each image comes in an epoch on average, (length,) from 1 on, by `utils.repeats`; once each
            where it is None. Indices of further copies are those of `DetectionDataset`.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        size: int = 1,
        repeats: np.ndarray | None = None,
    ):
        if repeats is not None and len(repeats) != length:
            raise ValueError(f"repeats: expected {length}, one for each image, got {len(repeats)}")
        self.length = length if repeats is None else epoch_length(repeats)
        self.batch_size, self.seed, self.repeats = batch_size, seed, repeats
        self.rank, self.size = rank, size
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        """Batches of a whole epoch, whatever `start` is."""
        return -(-self.length // self.batch_size)

    def whole(self, number: int) -> int:
        """Images in batch `number`, counted from 0, of all processes together."""
        return min(self.batch_size, self.length - number * self.batch_size)

    def keys(self) -> list[tuple[int, int]]:
        """The epoch's keys in order, of all processes together."""
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.length if self.repeats is None else draw_epoch(self.repeats, rng))
        return [(self.epoch, index) for index in order.tolist()]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        keys = self.keys()
        for number in range(self.start, len(self)):
            batch = keys[number * self.batch_size :][: self.whole(number)]
            part = share_of(len(batch), self.rank, self.size)
            yield batch[part.first : part.first + part.count] or batch[:1]


class DealtBatches(Sampler):
    """Batches of positions 0 .. length - 1 in order, of which process `rank` of `size` takes every `size`-th.

    The batches are those of a single process, because an image's neighbours decide its padding.
    """

    def __init__(self, length: int, batch_size: int, *, rank: int = 0, size: int = 1):
        batches = [list(range(start, min(start + batch_size, length))) for start in range(0, length, batch_size)]
        self.batches = batches[rank::size]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def collate(items: Sequence[tuple[Tensor, dict] | ToolkitError]) -> tuple[tuple, tuple] | ToolkitError:
    """Items to a batch: a tuple of images, which differ in size, and a tuple of targets. An error comes through."""
    for item in items:
        if isinstance(item, ToolkitError):
            return item
    images, targets = zip(*items, strict=True)
    return images, targets


def build_loader(
    dataset: DetectionDataset,
    *,
    batch_size: int,
    workers: int,
    pin: bool = False,
    rank: int = 0,
    size: int = 1,
    repeats: np.ndarray | None = None,
) -> DataLoader:
    """Batches of a training set by `EpochBatches`, where `batch_size` is that of all processes together, or of an
    evaluation set by `DealtBatches`. `repeats` is for training, as in `EpochBatches`.
    """
    if dataset.make is not None:
        batches = EpochBatches(len(dataset), batch_size, dataset.seed, rank=rank, size=size, repeats=repeats)
    else:
        batches = DealtBatches(len(dataset), batch_size, rank=rank, size=size)
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
        worker_init_fn=_init_worker,
    )


def _init_worker(worker: int) -> None:
    ignore_signals()  # they are the main process's to answer


@atexit.register  # after multiprocessing's own, hence run before it
def _end_workers() -> None:
    """After an error a loader may live to the end, where its workers would be sent the signal that they ignore."""
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's answer to a killed worker is an exception
    for process in multiprocessing.active_children():
        process.kill()
