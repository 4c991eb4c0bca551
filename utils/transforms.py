"""Augmentation of single images; the only module that knows albumentations.

Adding an augmentation is one line in a preset.
"""

import os
import random

import numpy as np

from utils.errors import ConfigError
from utils.sample import FILL, MIN_SIDE, MIN_VISIBLE, Sample

# Without it, importing albumentations asks the package index for its newest version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def _flip(A) -> list:
    """What torchvision's reference training does."""
    return [A.HorizontalFlip(p=0.5)]


def _train(A) -> list:
    """Geometry first: a zoom would enlarge or smooth away noise and compression artefacts made before it."""
    return [
        A.HorizontalFlip(p=0.5),
        # Balanced: as many images shrink as grow. The shift reaches what a zoom about the centre would never show.
        A.Affine(
            scale=(0.6, 1.6), translate_percent=(-0.2, 0.2), keep_ratio=True, balanced_scale=True, fill=FILL, p=0.5
        ),
        *_photometric(A),
    ]


def _train_in_place(A) -> list:
    """For images whose scale and place are decided: a further shift may lose a small one altogether."""
    return [A.HorizontalFlip(p=0.5), *_photometric(A)]


def _photometric(A) -> list:
    return [
        A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.4),
        A.ColorJitter(brightness=(1, 1), contrast=(1, 1), saturation=(0.6, 1.4), hue=(-0.03, 0.03), p=0.3),
        A.RandomGamma(gamma_limit=(75, 130), p=0.2),
        A.ToGray(p=0.05),
        A.OneOf([A.Blur(blur_limit=(3, 5)), A.MotionBlur(blur_limit=(3, 7))], p=0.1),
        A.GaussNoise(std_range=(0.01, 0.04), p=0.1),
        A.ImageCompression(quality_range=(50, 95), p=0.15),
    ]


PRESETS = {"flip": _flip, "train": _train, "train-in-place": _train_in_place}


class Augmenter:
    """A preset's random transforms, decided by the seed alone.

    No global random state is read or written, and the pipeline is built once per process, at the first call, so an
    Augmenter pickles to DataLoader workers. One thread at a time: the pipeline holds the random state of its call.

    Args:
        preset: a key of PRESETS.

    Raises:
        ConfigError: the preset is unknown.
    """

    def __init__(self, preset: str):
        if preset not in PRESETS:
            raise ConfigError(f"augmentation preset: expected one of {', '.join(sorted(PRESETS))}; got {preset!r}")
        self.preset = preset
        self._pipeline = None

    def __getstate__(self) -> dict:
        return {"preset": self.preset, "_pipeline": None}

    def __call__(self, sample: Sample, seed: int | np.random.SeedSequence) -> Sample:
        """A new sample: boxes cut at the image's border, dropped by the rule of `utils.sample.clip_and_drop`.

        Where the seed decides that nothing happens to the image, the new sample holds the very array of the old one.
        """
        if self._pipeline is None:
            self._pipeline = _build(self.preset)
        sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        # Not Compose.set_random_seed: it hands every transform a generator of its own with one and the same seed, so
        # that all of them draw the same number and an image is flipped exactly when it is also blurred.
        self._pipeline.set_random_state(
            np.random.default_rng(sequence), random.Random(int(sequence.generate_state(1, np.uint64)[0]))
        )
        out = self._pipeline(image=sample.image, bboxes=sample.boxes, index=np.arange(len(sample.boxes)))
        # Labels are read back by index: albumentations would return them as floats, and drops boxes.
        index = np.asarray(out["index"], dtype=np.int64)
        boxes = np.asarray(out["bboxes"], dtype=np.float32).reshape(-1, 4)
        return Sample(np.ascontiguousarray(out["image"]), boxes, sample.labels[index])


def _build(preset: str):
    # Imported here because it takes a second, which whoever only asks for the names of the presets should not pay.
    import albumentations as A

    # Checked once at the end: after each step, a box clipped twice would count its visible share from the first cut.
    params = A.BboxParams(
        "pascal_voc",
        label_fields=["index"],
        min_visibility=MIN_VISIBLE,
        min_width=MIN_SIDE,
        min_height=MIN_SIDE,
        check_each_transform=False,
    )
    return A.Compose(PRESETS[preset](A), bbox_params=params)
