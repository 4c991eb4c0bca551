"""The augmentations that training can be given by name, a row each; without NumPy, so the command line answers at once.

To add one, write its function in `mixes.py` or `transforms.py`, and its row here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from utils.errors import ConfigError
from utils.suggestions import suggestion

# The stages of a sample, in their order, and the function of an augmentation of each.
MIX = "mix"  # (samples, rng, img_size) -> sample: one of several images
SIZE = "size"  # (img_size) -> short sides, of which one is drawn for each image
SCALE = "scale"  # (sample, rng, img_size) -> sample, a square of img_size
PIXELS = "pixels"  # no function: pairs of a probability and a transform, (sample, rng) -> sample


@dataclass(frozen=True)
class Augmentation:
    """A row of AUGMENTATIONS.

    | field | meaning |
    |---|---|
    | stage | when it happens, and what its function takes: MIX, SIZE, SCALE or PIXELS |
    | function | "module:name" in this folder; imported when a run needs it |
    | help | for the command line |
    | partners | of a mix: images beside the sample's own, which comes first |
    | of_objects | of a mix: a partner without objects would add nothing |
    | square | of a mix: the result is a square of the model's short side, not the first image at the model's scale |
    | largest | of a scale: the most that an image is enlarged, of the scale at which the model sees it |
    """

    stage: str
    function: str
    help: str
    partners: int = 0
    of_objects: bool = False
    square: bool = False
    largest: float = 1

    def load(self) -> Any:
        """Import the function, or the pairs of a stage of PIXELS."""
        module, _, name = self.function.partition(":")
        return getattr(import_module(f"utils.augment.{module}"), name)


AUGMENTATIONS = {
    "flip": Augmentation(PIXELS, "transforms:FLIP", "horizontal flip of half of the images, always on"),
    "train": Augmentation(
        PIXELS, "transforms:TRAIN", "zoom and shift, brightness, colour, grey, blur, noise, JPEG artefacts"
    ),
    "mosaic": Augmentation(MIX, "mixes:shuffled_mosaic", "four images in one", partners=3, square=True),
    "mixup": Augmentation(MIX, "mixes:mixup", "two images blended", partners=1),
    "copy-paste": Augmentation(
        MIX, "mixes:copy_paste", "objects of another image pasted in", partners=1, of_objects=True
    ),
    "multi-scale": Augmentation(
        SIZE, "transforms:short_sides", "short side drawn for each image from 0.6 to 1 times the image size"
    ),
    "lsj": Augmentation(
        SCALE,
        "transforms:scale_jitter",
        "large-scale jitter: 0.1 to 2 times the usual scale, cut or filled to a square",
        largest=2,
    ),
}
CONTRADICTIONS = {
    ("lsj", "multi-scale"): "the one fixes the size of every image, the other varies it",
}


def augmentations_help() -> str:
    """Return a line on all augmentations, for the command line."""
    return "; ".join(f"{name}: {row.help}" for name, row in AUGMENTATIONS.items())


def check_augmentations(names: Iterable[str]) -> frozenset[str]:
    """Return the names as a set, "flip" included.

    Raises:
        ConfigError: with every unknown name, the nearest known one and all of them, and every pair that contradicts
            itself.
    """
    names = frozenset(names) | {"flip"}
    faults = []
    for name in sorted(names - AUGMENTATIONS.keys()):
        close = suggestion(name, AUGMENTATIONS)
        hint = f" (did you mean {close}?)" if close else ""
        faults.append(f"augmentation {name!r} is unknown{hint}; there are {', '.join(AUGMENTATIONS)}")
    for pair, why in CONTRADICTIONS.items():
        if names.issuperset(pair):
            faults.append(f"augmentations {' and '.join(pair)} contradict each other ({why}): give one of them")
    if faults:
        raise ConfigError("; ".join(faults))
    return names
