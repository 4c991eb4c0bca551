"""A small data set without a fault, drawn for the doctor's tests, and ways to spoil it."""

import shutil
from pathlib import Path

import cv2
import numpy as np
from voc_files import element, xml

SIZE = (400, 300)
YAML = "shapes.yaml"


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Soft blots, unlike those of any other seed: BGR uint8."""
    blots = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(blots, size, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def boxes_of(seed: int) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Two objects that any model here can reach; every third picture has both classes."""
    rng = np.random.default_rng(seed)
    names = ("Mask", "Gloves" if seed % 3 == 0 else "Mask")
    found = []
    for index, name in enumerate(names):
        x, y = 20 + 190 * index + int(rng.integers(0, 60)), int(rng.integers(10, 150))
        found.append((name, (x, y, x + 80 + int(rng.integers(0, 20)), y + 90 + int(rng.integers(0, 20)))))
    return found


def write_pair(folder: Path, name: str, seed: int, objects=None, size: tuple[int, int] = SIZE) -> None:
    """A picture, whose suffix is .jpg unless `name` has one, and its XML."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / (name if "." in name else f"{name}.jpg")), picture(seed, size))
    write_labels(folder, Path(name).stem, boxes_of(seed) if objects is None else objects, size)


def write_labels(folder: Path, stem: str, objects, size: tuple[int, int] = SIZE) -> None:
    elements = [element(name, box) for name, box in objects]
    (folder / f"{stem}.xml").write_text(xml(*elements, size=size))


def write_clean_set(folder: Path) -> Path:
    """Six training pictures a0..a5 and three validation pictures b0..b2; returns the YAML."""
    for number in range(6):
        write_pair(folder / "train", f"a{number}", number)
    for number in range(3):
        write_pair(folder / "test", f"b{number}", 99 + number)
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
    """As `copy_pair`, but the picture is decoded, changed and encoded anew."""
    image = change(cv2.imread(str(source)))
    cv2.imwrite(str(target), image)
    write_labels(target.parent, target.stem, boxes_of(0), image.shape[1::-1])
