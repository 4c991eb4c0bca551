"""Training samples from images: which are mixed, at what scale they appear, what happens to their pixels."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from utils.augment.mixes import copy_paste, mixup, mosaic
from utils.augment.names import check_augmentations
from utils.augment.sample import Sample, resized_hw, stretch
from utils.augment.transforms import JITTER_RANGE, Augmenter, scale_jitter, short_sides
from utils.img_size import model_scale

MIX_SHARE = 0.5  # of the training samples; the others are whole images, which is what the network meets later


def _mosaic_of_any_order(samples: Sequence[Sample], rng: np.random.Generator, img_size: int) -> Sample:
    return mosaic([samples[i] for i in rng.permutation(len(samples))], rng, img_size)


@dataclass(frozen=True)
class Mix:
    """`blend(samples, rng, img_size)` makes one sample of `1 + partners`, the sample's own image first."""

    blend: Callable[[Sequence[Sample], np.random.Generator, int], Sample]
    partners: int
    of_objects: bool = False  # a partner without objects would add nothing
    square: bool = False  # of the model's short side; otherwise the first image's size at the model's scale


MIXES = {
    "mosaic": Mix(_mosaic_of_any_order, partners=3, square=True),
    "mixup": Mix(mixup, partners=1),
    "copy-paste": Mix(copy_paste, partners=1, of_objects=True),
}


@dataclass(frozen=True)
class BuiltSample:
    """A sample, the positions of the images in it, and the short side that the model is to resize it to, if it is one
    of its own.
    """

    sample: Sample
    sources: list[int]
    short_side: int | None = None


class SampleBuilder:
    """A dataset's images to the samples of a run: mix, then scale jitter, then pixels.

    Args:
        names: keys of `AUGMENTATIONS`. Of several mixes each gets the same part of MIX_SHARE.
        object_counts: objects in each image of the dataset.
        img_size: the model's short side in pixels.
        mix_until: last epoch with mixes; None for all.

    Raises:
        ConfigError: names that are unknown or contradict each other.
    """

    def __init__(
        self, names: Collection[str], object_counts: Sequence[int], img_size: int, *, mix_until: int | None = None
    ):
        names = check_augmentations(names)
        self.mixes = [mix for name, mix in MIXES.items() if name in names]
        self.short_sides = short_sides(img_size) if "multi-scale" in names else None
        self.jitters = "lsj" in names
        train = "train-in-place" if self.jitters else "train"
        self.pixels = Augmenter(train if "train" in names else "flip")
        self.img_size, self.mix_until = img_size, mix_until
        self.images, self.with_objects = np.arange(len(object_counts)), np.flatnonzero(object_counts)

    def __call__(self, load: Callable[[int], Sample], index: int, rng: np.random.Generator, epoch: int) -> BuiltSample:
        """The sample of image `index`; `load` gives images at `stored_hw`, `rng` decides the rest. Epochs from 1."""
        short_side, mix = self._kind(rng, epoch)
        size = short_side or self.img_size
        sources = [index]
        if mix is None:
            sample = load(index)
        else:
            pool = self.with_objects if mix.of_objects and len(self.with_objects) else self.images
            sources += pool[rng.integers(len(pool), size=mix.partners)].tolist()
            sample = mix.blend([load(source) for source in sources], rng, size)
        sample = scale_jitter(sample, rng, size) if self.jitters else _shrunk(sample, size)
        return BuiltSample(self.pixels(sample, rng), sources, short_side)

    def stored_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which an image of `size_hw` on disk is wanted: as large as it will ever be used.

        That is the model's own scale, unless "lsj" enlarges. The short side is exactly the model's, or else the long
        side its limit, and the scale of what is loaded exactly 1: nothing resizes it once more.
        """
        scale = model_scale(size_hw, self.img_size) * (JITTER_RANGE[1] if self.jitters else 1)
        return _rounded(size_hw, scale) if scale < 1 else tuple(size_hw)

    def shape_of(self, stored_hw: tuple[int, int], rng: np.random.Generator, epoch: int) -> tuple[int, int]:
        """Height and width that the model will resize a sample to, from its image's and the `rng` that will make it."""
        short_side, mix = self._kind(rng, epoch)
        size = short_side or self.img_size
        if self.jitters or (mix and mix.square):
            return size, size
        scale = model_scale(stored_hw, size)
        return _rounded(stored_hw, scale) if mix is None and scale < 1 else resized_hw(stored_hw, scale)

    def _kind(self, rng: np.random.Generator, epoch: int) -> tuple[int | None, Mix | None]:
        """What is drawn first: the short side and the mix."""
        short_side = self.short_sides[rng.integers(len(self.short_sides))] if self.short_sides else None
        return short_side, self.draw_mix(rng, epoch)

    def draw_mix(self, rng: np.random.Generator, epoch: int) -> Mix | None:
        """One of the run's mixes, or None for a whole image."""
        if not self.mixes or (self.mix_until is not None and epoch > self.mix_until):
            return None
        drawn = rng.random()
        return self.mixes[int(drawn / MIX_SHARE * len(self.mixes))] if drawn < MIX_SHARE else None


def _shrunk(sample: Sample, img_size: int) -> Sample:
    """No larger than the model will use it; a mix is that already."""
    scale = model_scale(sample.size_hw, img_size)
    return stretch(sample, _rounded(sample.size_hw, scale)) if scale < 1 else sample


def _rounded(size_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    return tuple(max(1, round(side * scale)) for side in size_hw)
