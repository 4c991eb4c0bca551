"""Training samples from images: which are mixed, at what scale they appear, what happens to their pixels."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from utils.augmentations import check_augmentations
from utils.geometry import model_scale
from utils.mixing import copy_paste, mixup
from utils.mosaic import mosaic
from utils.sample import Sample, resize_sample
from utils.scale_jitter import scale_jitter, short_sides
from utils.transforms import Augmenter

MIX_SHARE = 0.5  # of the training samples; the others are whole images, which is what the network meets later


def _mosaic_of_any_order(samples: Sequence[Sample], rng: np.random.Generator, img_size: int) -> Sample:
    return mosaic([samples[i] for i in rng.permutation(len(samples))], rng, img_size)


@dataclass(frozen=True)
class Mix:
    """`blend(samples, rng, img_size)` makes one sample of `1 + partners`, the sample's own image first."""

    blend: Callable[[Sequence[Sample], np.random.Generator, int], Sample]
    partners: int
    of_objects: bool = False  # a partner without objects would add nothing


MIXES = {
    "mosaic": Mix(_mosaic_of_any_order, partners=3),
    "mixup": Mix(mixup, partners=1),
    "copy-paste": Mix(copy_paste, partners=1, of_objects=True),
}


@dataclass(frozen=True)
class Made:
    """A sample, the positions of the images in it, and the short side that the model is to resize it to, if it is one
    of its own.
    """

    sample: Sample
    sources: list[int]
    short_side: int | None = None


class SampleMaker:
    """A data set's images to the samples of a run: mix, then scale jitter, then pixels.

    Args:
        names: keys of `utils.augmentations.AUGMENTATIONS`. Of several mixes each gets the same part of MIX_SHARE.
        object_counts: objects in each image of the data set.
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

    def __call__(self, load: Callable[[int], Sample], index: int, rng: np.random.Generator, epoch: int) -> Made:
        """The sample of image `index`; `load` gives images as on disk, `rng` decides all else. Epochs count from 1."""
        short_side = int(rng.choice(self.short_sides)) if self.short_sides else None
        size = short_side or self.img_size
        mix = self.draw_mix(rng, epoch)
        sources = [index]
        if mix is None:
            sample = load(index)
        else:
            pool = self.with_objects if mix.of_objects and len(self.with_objects) else self.images
            sources += pool[rng.integers(len(pool), size=mix.partners)].tolist()
            sample = mix.blend([load(source) for source in sources], rng, size)
        sample = scale_jitter(sample, rng, size) if self.jitters else _shrunk(sample, size)
        return Made(self.pixels(sample, int(rng.integers(2**32))), sources, short_side)

    def draw_mix(self, rng: np.random.Generator, epoch: int) -> Mix | None:
        """One of the run's mixes, or None for a whole image."""
        if not self.mixes or (self.mix_until is not None and epoch > self.mix_until):
            return None
        drawn = rng.random()
        return self.mixes[int(drawn / MIX_SHARE * len(self.mixes))] if drawn < MIX_SHARE else None


def _shrunk(sample: Sample, img_size: int) -> Sample:
    """No larger than the model will use it; a mix is that already."""
    scale = model_scale(sample.size_hw, img_size)
    return resize_sample(sample, scale) if scale < 1 else sample
