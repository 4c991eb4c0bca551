"""The augmentations that training can be given by name; without NumPy, so that the command line answers at once."""

from collections.abc import Iterable

from utils.errors import ConfigError
from utils.suggestions import suggestion

AUGMENTATIONS = {
    "flip": "horizontal flip of half of the images, always on",
    "train": "zoom and shift, brightness, colour, grey, blur, noise, JPEG artefacts",
    "mosaic": "four images in one",
    "mixup": "two images blended",
    "copy-paste": "objects of another image pasted in",
    "multi-scale": "short side drawn for each image from 0.6 to 1 times the image size",
    "lsj": "large-scale jitter: 0.1 to 2 times the usual scale, cut or filled to a square",
}
CONTRADICTIONS = {
    ("lsj", "multi-scale"): "the one fixes the size of every image, the other varies it",
}


def check_augmentations(names: Iterable[str]) -> frozenset[str]:
    """The names as a set, "flip" included.

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
