"""Training samples from images: mixed, scaled, and changed in their pixels, by the rows of `AUGMENTATIONS`."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from utils.augment.augmentations import AUGMENTATIONS, MIX, PIXELS, SCALE, SIZE, Augmentation, check_augmentations
from utils.augment.sample import Sample, resized_hw, stretch
from utils.augment.transforms import MOVING, Augmenter
from utils.img_size import model_scale

MIX_SHARE = 0.5  # of the training samples; the others are whole images, which is what the network meets later


@dataclass(frozen=True)
class BuiltSample:
    """A sample, the positions of the images in it, and the short side that the model resizes it to, where it has its
    own.
    """

    sample: Sample
    sources: list[int]
    short_side: int | None = None


class SampleBuilder:
    """Builder of a run's samples from a dataset's images: mix, then scale, then pixels.

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
        rows = [row for name, row in AUGMENTATIONS.items() if name in names]
        self.mixes = [row for row in rows if row.stage == MIX]
        self.blends = {row: row.load() for row in self.mixes}
        self.short_sides = [side for row in rows if row.stage == SIZE for side in row.load()(img_size)]
        self.scaling = next((row for row in rows if row.stage == SCALE), None)
        self.scale = self.scaling.load() if self.scaling else _shrunk
        transforms = [pair for row in rows if row.stage == PIXELS for pair in row.load()]
        if self.scaling:  # scale and place are decided: a further shift may lose a small image altogether
            transforms = [(chance, transform) for chance, transform in transforms if transform not in MOVING]
        self.pixels = Augmenter(transforms)
        self.img_size, self.mix_until = img_size, mix_until
        self.images, self.with_objects = np.arange(len(object_counts)), np.flatnonzero(object_counts)

    def __call__(self, load: Callable[[int], Sample], index: int, rng: np.random.Generator, epoch: int) -> BuiltSample:
        """Return the sample of image `index`; `load` gives images at `stored_hw`, `rng` decides the rest."""
        short_side, mix = self._kind(rng, epoch)
        size = short_side or self.img_size
        sources = [index]
        if mix is None:
            sample = load(index)
        else:
            pool = self.with_objects if mix.of_objects and len(self.with_objects) else self.images
            sources += pool[rng.integers(len(pool), size=mix.partners)].tolist()
            sample = self.blends[mix]([load(source) for source in sources], rng, size)
        return BuiltSample(self.pixels(self.scale(sample, rng, size), rng), sources, short_side)

    def stored_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width to load an image of `size_hw` at: as large as it will ever be used.

        That is the model's own scale, unless "lsj" enlarges. The short side is exactly the model's, or else the long
        side its limit, and the scale of what is loaded exactly 1: nothing resizes it once more.
        """
        scale = model_scale(size_hw, self.img_size) * (self.scaling.largest if self.scaling else 1)
        return _rounded(size_hw, scale) if scale < 1 else (size_hw[0], size_hw[1])

    def shape_of(self, stored_hw: tuple[int, int], rng: np.random.Generator, epoch: int) -> tuple[int, int]:
        """Return the height and width that the model will resize a sample to; `rng` as it will be for `__call__`."""
        short_side, mix = self._kind(rng, epoch)
        size = short_side or self.img_size
        if self.scaling or (mix and mix.square):
            return size, size
        scale = model_scale(stored_hw, size)
        return _rounded(stored_hw, scale) if mix is None and scale < 1 else resized_hw(stored_hw, scale)

    def _kind(self, rng: np.random.Generator, epoch: int) -> tuple[int | None, Augmentation | None]:
        """Draw the short side and the mix, which come first."""
        short_side = self.short_sides[rng.integers(len(self.short_sides))] if self.short_sides else None
        return short_side, self.draw_mix(rng, epoch)

    def draw_mix(self, rng: np.random.Generator, epoch: int) -> Augmentation | None:
        """Draw one of the run's mixes, or None for a whole image."""
        if not self.mixes or (self.mix_until is not None and epoch > self.mix_until):
            return None
        drawn = rng.random()
        return self.mixes[int(drawn / MIX_SHARE * len(self.mixes))] if drawn < MIX_SHARE else None


def _shrunk(sample: Sample, rng: np.random.Generator, img_size: int) -> Sample:
    """Return a sample no larger than the model will use it; a mix is that already."""
    scale = model_scale(sample.size_hw, img_size)
    return stretch(sample, _rounded(sample.size_hw, scale)) if scale < 1 else sample


def _rounded(size_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    height, width = (max(1, round(side * scale)) for side in size_hw)
    return height, width
