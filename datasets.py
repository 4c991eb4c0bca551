"""Annotations on disk to batches in memory."""

import atexit
import gc
import logging
import multiprocessing
import signal
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from utils.annotations.annotation import Annotation
from utils.augment.sample import Sample
from utils.augment.sample_builder import BuiltSample, SampleBuilder
from utils.cli.settings import TrainSettings
from utils.dataset.annotation_table import AnnotationTable
from utils.dataset.batch_sampler import EvalBatchSampler, TrainBatchSampler, repeat_factors
from utils.errors import ToolkitError
from utils.images.cache import ImageCache, cache_report, open_cache
from utils.images.io import read_shrunk
from utils.images.pixel_range import PixelRange
from utils.img_size import long_side_limit, padded_hw
from utils.runs.data import TrainingData
from utils.signals import ignore_signals
from utils.system import loader_processes

# Loader workers are forked. OpenCV's threads do not survive that: a worker that waits for them waits for ever. So there
# are to be none in the parent, before its first image; workers are the parallelism.
cv2.setNumThreads(1)

VAL_BATCH = 4  # images; whatever --batch-size and the number of processes are, so that metrics do not depend on them


class DetectionDataset(Dataset):
    """Samples for torchvision's detectors.

    An item is `(image, target)`:

    | name                 | shape       | dtype   | meaning                                                          |
    |----------------------|-------------|---------|------------------------------------------------------------------|
    | image                | (3, H, W)   | uint8   | RGB, channels last in memory; turned to float on the device      |
    | target["boxes"]      | (N, 4)      | float32 | xyxy in pixels of this image; N may be 0                         |
    | target["labels"]     | (N,)        | int64   | from 1; 0 is the background                                      |
    | target["image_id"]   | ()          | int64   | position in `annotations`                                        |
    | target["sources"]    | (1..4,)     | int64   | positions of all images in it, more than one in a mix            |
    | target["short_side"] |             | int     | to resize this image to, in pixels; only with "multi-scale"      |

    For training, an image is shrunk to the size that the model will use, by the model's own interpolation, before it is
    augmented; it is enlarged only in mixes and by "lsj". For evaluation images are as on disk. The annotations are
    packed, so that the memory of loader processes does not grow with the dataset.

    A training item is asked for by `(epoch, index)`, epochs from 1, and depends on those and `seed` alone. An index
    beyond the number of images is a further copy, augmented differently: `image + copy * number`.

    Args:
        augment: names from `AUGMENTATIONS`, for training; "flip" is always among them.
        mix_until: last epoch with mosaics and other mixes; None for all.
        pixel_range: how 16-bit samples become eight bits, as in `read_image`.

    Attributes:
        stored_hw: (N, 2) int32, height and width in pixels at which each image is loaded.
        cache: of the images at that size, by `cache`; None to decode them anew each time.
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
        pixel_range: PixelRange | None = None,
    ):
        packed = isinstance(annotations, AnnotationTable)
        self.annotations = annotations if packed else AnnotationTable(annotations)
        self.seed, self.img_size, self.pixel_range = seed, img_size, pixel_range
        self.make, self.stored_hw = None, self.annotations.sizes_hw
        self.cache: ImageCache | None = None
        if training:
            self.make = SampleBuilder(augment, self.annotations.counts, img_size, mix_until=mix_until)
            self.stored_hw = np.array([self.make.stored_hw(size) for size in self.stored_hw.tolist()], np.int32)

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
            made = BuiltSample(self.load(image_id), [image_id])
        else:
            made = self.make(self.load, image_id, self._rng(epoch, index), epoch)
        target = {
            "boxes": _tensor(made.sample.boxes),
            "labels": _tensor(made.sample.labels),
            "image_id": torch.tensor(image_id),
            "sources": torch.tensor(made.sources),
        }
        if made.short_side is not None:
            target["short_side"] = made.short_side
        return _tensor(made.sample.image).permute(2, 0, 1), target

    def _rng(self, epoch: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, index])

    def shape_of(self, key: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width that the model will resize the training item of `key` to."""
        epoch, index = key
        return self.make.shape_of(self.stored_hw[index % len(self)].tolist(), self._rng(epoch, index), epoch)

    def padded_hw(self, index: int) -> tuple[int, int]:
        """Return the height and width that the model will pad image `index` to, in evaluation."""
        return padded_hw(
            tuple(self.annotations.sizes_hw[index].tolist()), self.img_size, long_side_limit(self.img_size)
        )

    def load(self, index: int) -> Sample:
        """Load the image at `stored_hw` with its boxes. Raises DatasetError where the file is not what was scanned."""
        image = self.cache.load(index, self._read) if self.cache else self._read(index)
        boxes, labels = self.annotations.objects(index)
        (height, width), (stored_height, stored_width) = self.annotations.sizes_hw[index].tolist(), image.shape[:2]
        if (height, width) != (stored_height, stored_width):
            boxes = (boxes * np.array([stored_width / width, stored_height / height] * 2)).astype(np.float32)
        return Sample(image, boxes, labels)

    def _read(self, index: int) -> np.ndarray:
        size_hw, stored_hw = (tuple(sizes[index].tolist()) for sizes in (self.annotations.sizes_hw, self.stored_hw))
        return read_shrunk(self.annotations.file(index), size_hw, stored_hw, pixel_range=self.pixel_range)

    def names_of(self, target: dict[str, Tensor]) -> list[str]:
        """Return file names of the images that a target's sample was made from."""
        return [self.annotations.file(source) for source in target["sources"].tolist()]


def _tensor(array: np.ndarray) -> Tensor:
    """Make a tensor of the same memory, unless that is read-only, the annotations' or the cache's own."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


@dataclass
class Packed:
    """A batch on its way from a loader process: all pixels in one block, of which both processes have the same memory.

    Every tensor that comes from another process costs a new connection to it; here that is one for a batch. `pixels` is
    (bytes,) uint8, `sizes_hw` has each image's height and width, `objects` its count; `boxes` and `labels` are those of
    all images, and `others` what else is in the targets, NumPy arrays and numbers.
    """

    pixels: Tensor
    sizes_hw: list[tuple[int, int]]
    objects: list[int]
    boxes: Tensor | np.ndarray
    labels: Tensor | np.ndarray
    others: list[dict]

    def pin_memory(self) -> "Packed":
        pinned = (torch.as_tensor(value).pin_memory() for value in (self.pixels, self.boxes, self.labels))
        pixels, boxes, labels = pinned
        return Packed(pixels, self.sizes_hw, self.objects, boxes, labels, self.others)

    def unpacked(self) -> tuple[tuple, tuple]:
        """Return a tuple of images, (3, H, W) views, and a tuple of targets."""
        pixels = self.pixels.split([3 * height * width for height, width in self.sizes_hw])
        boxes, labels = (torch.as_tensor(value).split(self.objects) for value in (self.boxes, self.labels))
        images = tuple(
            block.view(*size_hw, 3).permute(2, 0, 1) for block, size_hw in zip(pixels, self.sizes_hw, strict=True)
        )
        targets = tuple(
            {"boxes": b, "labels": n}
            | {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in rest.items()}
            for b, n, rest in zip(boxes, labels, self.others, strict=True)
        )
        return images, targets


def collate(items: Sequence[tuple[Tensor, dict] | ToolkitError]) -> tuple[tuple, tuple] | Packed | ToolkitError:
    """Join items to a batch, in a loader process packed: a tuple of images, which differ in size, and one of targets.

    An error comes through.
    """
    for item in items:
        if isinstance(item, ToolkitError):
            return item
    images, targets = zip(*items, strict=True)
    if get_worker_info() is None:
        return images, targets
    storage = torch.UntypedStorage._new_shared(sum(image.numel() for image in images))
    pixels = torch.empty(0, dtype=torch.uint8).set_(storage)
    start = 0
    for image in images:
        pixels[start : start + image.numel()].view(*image.shape[1:], 3).copy_(image.permute(1, 2, 0))
        start += image.numel()
    others = [
        {k: v.numpy() if isinstance(v, Tensor) else v for k, v in target.items() if k not in ("boxes", "labels")}
        for target in targets
    ]
    boxes, labels = (np.concatenate([target[key].numpy() for target in targets]) for key in ("boxes", "labels"))
    sizes_hw = [tuple(image.shape[1:]) for image in images]
    return Packed(pixels, sizes_hw, [len(target["labels"]) for target in targets], boxes, labels, others)


class Loader(DataLoader):
    """Gives batches as `collate` makes them without loader processes."""

    def __iter__(self) -> Iterator:
        if self.num_workers and self._iterator is None:  # they are forked now
            # The collector is to leave alone what is there: looking for garbage, it writes to every object, here and in
            # them, and whoever writes to a page first copies it.
            gc.collect()
            gc.freeze()
        for batch in super().__iter__():
            yield batch.unpacked() if isinstance(batch, Packed) else batch


def build_loader(
    dataset: DetectionDataset,
    *,
    batch_size: int,
    workers: int,
    pin: bool = False,
    rank: int = 0,
    size: int = 1,
    repeats: np.ndarray | None = None,
    by_shape: bool = True,
) -> Loader:
    """Build the loader of a training set, by `TrainBatchSampler`, or of an evaluation set, by `EvalBatchSampler`.

    `batch_size` is that of all processes together; batches for evaluation are of images that the model pads alike.
    `repeats` is for training, as in `TrainBatchSampler`; so is `by_shape`: batches of like shapes.
    """
    if dataset.make is not None:
        batches = TrainBatchSampler(
            len(dataset),
            batch_size,
            dataset.seed,
            rank=rank,
            size=size,
            repeats=repeats,
            shape_of=dataset.shape_of if by_shape else None,
        )
    else:
        batches = EvalBatchSampler(len(dataset), batch_size, rank=rank, size=size, shape_of=dataset.padded_hw)
    return Loader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
        worker_init_fn=_init_worker,
    )


def build_loaders(
    settings: TrainSettings, data: TrainingData, group, *, img_size: int, by_shape: bool
) -> tuple[Loader, Loader]:
    """Return the loaders of a training's batches and of its validation batches.

    Args:
        group: the processes that train together, with `rank`, `size`, `device` and `gather`.
        img_size: the model's short side in pixels.
        by_shape: batches of like shapes have less padding; but where batch norms learn, they cost accuracy.
    """
    annotations, pixel_range = data.annotations, data.config.pixel_range
    train_set = DetectionDataset(
        annotations["train"],
        img_size=img_size,
        training=True,
        seed=settings.seed,
        augment=settings.augment,
        mix_until=settings.epochs - settings.close_mosaic,
        pixel_range=pixel_range,
    )
    if settings.cache != "off":
        train_set.cache = open_cache(
            settings.cache, train_set.annotations, train_set.stored_hw, gather=group.gather, pixel_range=pixel_range
        )
        logging.getLogger("train").info(cache_report(settings.cache, train_set.cache))
    val_set = DetectionDataset(annotations["val"], img_size=img_size, training=False, pixel_range=pixel_range)
    rare = settings.repeat_rare
    repeats = repeat_factors([a.labels for a in annotations["train"]], rare) if rare else None
    on_gpu = group.device.type == "cuda"
    workers = loader_processes(on_gpu) if settings.workers is None else settings.workers
    common = {"workers": workers, "pin": on_gpu, "rank": group.rank, "size": group.size}
    batch_size = settings.global_batch or settings.batch_size * settings.accumulate * group.size
    return (
        build_loader(train_set, batch_size=batch_size, repeats=repeats, by_shape=by_shape, **common),
        build_loader(val_set, batch_size=VAL_BATCH, **common),
    )


def _init_worker(worker: int) -> None:
    ignore_signals()  # they are the main process's to answer


@atexit.register  # after multiprocessing's own, hence run before it
def _end_workers() -> None:
    """End the workers: after an error a loader may live to the end, where they would ignore the signal sent to them."""
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's answer to a killed worker is an exception
    for process in multiprocessing.active_children():
        process.kill()
