"""Small Pascal VOC datasets, drawn for tests that run the scripts."""

from pathlib import Path

import cv2
import numpy as np

COLOURS = {"Mask": (220, 220, 60), "Gloves": (60, 60, 220)}  # BGR


def write_voc_set(folder: Path, count: int, seed: int) -> None:
    """`count` images of coloured rectangles, every fifth without any, with XML beside them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        width, height = (160, 120) if number % 2 else (120, 160)
        image = np.full((height, width, 3), rng.integers(80, 140), np.uint8)
        objects = ""
        for _ in range(0 if number % 5 == 4 else int(rng.integers(1, 4))):
            name = str(rng.choice(list(COLOURS)))
            w, h = rng.integers(24, 56, 2).tolist()
            x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
            cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), COLOURS[name], -1)
            box = f"<xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
            objects += f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"
        image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"image {number}.jpg"), image)
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        (folder / f"image {number}.xml").write_text(f"<annotation>{size}{objects}</annotation>")


def write_config(folder: Path, *, classes: str = "[Mask, Gloves]", name: str = "shapes.yaml", extra: str = "") -> Path:
    """A YAML beside `train` and `test`, with paths relative to itself."""
    path = folder / name
    path.write_text(f"TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: test\nCLASSES: {classes}\n{extra}")
    return path
