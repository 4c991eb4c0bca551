"""A small dataset without a fault, drawn for tests of the checks, and ways to spoil it."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from support.voc_files import element, xml

SIZE = (400, 300)
YAML = "shapes.yaml"


def drawn_image(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Soft blots, unlike those of any other seed: BGR uint8."""
    blots = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(blots, size, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def boxes_of(seed: int) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Two objects that any model here can reach; every third image has both classes."""
    rng = np.random.default_rng(seed)
    names = ("Mask", "Gloves" if seed % 3 == 0 else "Mask")
    found = []
    for index, name in enumerate(names):
        x, y = 20 + 190 * index + int(rng.integers(0, 60)), int(rng.integers(10, 150))
        found.append((name, (x, y, x + 80 + int(rng.integers(0, 20)), y + 90 + int(rng.integers(0, 20)))))
    return found


def valid_boxes_of(number: int) -> list[tuple[str, tuple[int, int, int, int]]]:
    """24 objects of a validation image, which are enough for a score: all Gloves are in the first one."""
    found = []
    for index in range(24):
        x, y = 8 + 65 * (index % 6), 8 + 72 * (index // 6)
        found.append(("Gloves" if number == 0 and index < 20 else "Mask", (x, y, x + 46 + index % 5, y + 56)))
    return found


def objects_of(stem: str) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Draw an image of the clean set, a0 to a5 or b0 to b3."""
    return boxes_of(int(stem[1:])) if stem[0] == "a" else valid_boxes_of(int(stem[1:]))


def write_pair(folder: Path, name: str, seed: int, objects=None, size: tuple[int, int] = SIZE) -> None:
    """An image, whose suffix is .jpg unless `name` has one, and its XML."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / (name if "." in name else f"{name}.jpg")), drawn_image(seed, size))
    write_labels(folder, Path(name).stem, boxes_of(seed) if objects is None else objects, size)


def write_labels(folder: Path, stem: str, objects, size: tuple[int, int] = SIZE) -> None:
    elements = [element(name, box) for name, box in objects]
    (folder / f"{stem}.xml").write_text(xml(*elements, size=size))


def write_clean_set(folder: Path) -> Path:
    """Six training images a0..a5 and four validation images b0..b3; returns the YAML."""
    for number in range(6):
        write_pair(folder / "train", f"a{number}", number)
    for number in range(4):
        write_pair(folder / "test", f"b{number}", 99 + number, valid_boxes_of(number))
    return write_yaml(folder)


def write_yaml(folder: Path, classes: str = "[Mask, Gloves]", extra: str = "") -> Path:
    path = folder / YAML
    path.write_text(f"TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: test\nCLASSES: {classes}\n{extra}")
    return path


def copy_pair(source: Path, target: Path) -> None:
    """An image and its XML under another name."""
    shutil.copy(source, target)
    shutil.copy(source.with_suffix(".xml"), target.with_suffix(".xml"))


def changed_copy(source: Path, target: Path, change) -> None:
    """As `copy_pair`, but the image is decoded, changed and encoded anew."""
    image = change(cv2.imread(str(source)))
    cv2.imwrite(str(target), image)
    write_labels(target.parent, target.stem, boxes_of(0), image.shape[1::-1])
