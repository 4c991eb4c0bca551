"""Annotations on disk to batches in memory."""

import signal
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from utils.annotations import Annotation
from utils.errors import DatasetError
from utils.geometry import model_scale
from utils.images import read_image
from utils.mosaic import mosaic
from utils.sample import Sample, resize_sample
from utils.transforms import Augmenter

# Loader workers are forked. OpenCV's threads do not survive that: a worker that waits for them waits for ever. So there
# are to be none in the parent, before its first image; workers are the parallelism.
cv2.setNumThreads(1)

MOSAIC_SHARE = 0.5  # of the training samples; the others are whole images, which is what the network meets later


class DetectionDataset(Dataset):
    """Samples for torchvision's detectors.

    An item is `(image, target)`:

    | name                 | shape       | dtype   | meaning                                                          |
    |----------------------|-------------|---------|------------------------------------------------------------------|
    | image                | (3, H, W)   | uint8   | RGB; turned to float on the device                               |
    | target["boxes"]      | (N, 4)      | float32 | xyxy in pixels of this image; N may be 0                         |
    | target["labels"]     | (N,)        | int64   | from 1; 0 is the background                                      |
    | target["image_id"]   | ()          | int64   | position in `annotations`                                        |
    | target["sources"]    | (1,) or (4,)| int64   | positions of all images in it, more than one in a mosaic         |

    For training, an image is shrunk to the size that the model will use, by the model's own interpolation, before it is
    augmented; it is never enlarged here. For evaluation images are as on disk.

    A training item is asked for by `(epoch, index)` and depends on those and `seed` alone.
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        *,
        img_size: int,
        training: bool,
        use_mosaic: bool = False,
        preset: str = "flip",
        seed: int = 0,
    ):
        self.annotations = annotations
        self.img_size = img_size
        self.use_mosaic = training and use_mosaic
        self.augment = Augmenter(preset) if training else None
        self.seed = seed

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[Tensor, dict[str, Tensor]]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        sources = [index]
        if self.augment is None:
            sample = self.load(index)
        else:
            rng = np.random.default_rng([self.seed, epoch, index])
            if self.use_mosaic and rng.random() < MOSAIC_SHARE:
                sources += rng.integers(len(self), size=3).tolist()
                tiles = [self.load(source) for source in sources]
                sample = mosaic([tiles[i] for i in rng.permutation(4)], rng, self.img_size)
            else:
                sample = self.load(index)
                scale = model_scale(sample.image.shape[:2], self.img_size)
                if scale < 1:
                    sample = resize_sample(sample, scale)
            sample = self.augment(sample, int(rng.integers(2**32)))
        target = {
            "boxes": torch.from_numpy(sample.boxes),
            "labels": torch.from_numpy(sample.labels),
            "image_id": torch.tensor(index),
            "sources": torch.tensor(sources),
        }
        return torch.from_numpy(np.ascontiguousarray(sample.image.transpose(2, 0, 1))), target

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


class EpochSampler(Sampler):
    """Shuffled `(epoch, index)` keys. The order depends on seed and epoch alone; set `.epoch` before iterating.

    The epoch travels in the key because workers that live through all epochs never see a change of their data set.
    """

    def __init__(self, length: int, seed: int):
        self.length = length
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        return iter([(self.epoch, index) for index in order.tolist()])


def collate(items: Sequence[tuple[Tensor, dict]]) -> tuple[tuple[Tensor, ...], tuple[dict, ...]]:
    """Items to a batch: a tuple of images, which differ in size, and a tuple of targets."""
    images, targets = zip(*items, strict=True)
    return images, targets


def build_loader(dataset: DetectionDataset, *, batch_size: int, workers: int, pin: bool = False) -> DataLoader:
    """Batches of a training set in `EpochSampler`'s order, or of an evaluation set in order."""
    training = dataset.augment is not None
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(len(dataset), dataset.seed) if training else None,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
        worker_init_fn=_init_worker,
    )


def _init_worker(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to answer
