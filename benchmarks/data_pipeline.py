"""Compare the time of making training samples with the plain way: in turns, in one process, on one core.

    python benchmarks/data_pipeline.py --rounds 5
    python benchmarks/data_pipeline.py --data data_configs/ppe.yaml --img-size 640

Without --data it makes photographs of 640x480 and of 1920x1440 pixels, JPEGs of as many bytes as cameras make. "plain"
is `benchmarks/plain_pipeline.py`: XML parsed and augmentations composed for each item, float32 from the start, mosaics
at twice the size. "no fog" leaves out its slowest augmentation; "square" stretches each image to a square besides, as
the public pipeline did for long. All have the same fraction of mosaics. "bare" is cv2.imread, then cv2.resize to
the size that the sample has, and nothing else. Prints medians over the rounds of CPU time per image, and the ratios;
then what comes through a DataLoader; then the fraction of a batch that is padding, in shuffled order and in ours.
"""

import argparse
import itertools
import random
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.plain_pipeline import PlainPipeline
from datasets import DetectionDataset, build_loader
from utils.annotations.annotation import Annotation
from utils.augment.sample_builder import MIX_SHARE
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_split
from utils.errors import ToolkitError, stop
from utils.images.cache import open_cache

CLASSES = ("__background__", "one", "two", "three")
AUGMENT = ("mosaic", "train")
BATCH = 4


def main(args) -> int:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        if args.data:
            sets = {str(args.data): from_config(args.data)}
        else:
            sets = {
                f"{width}x{height}": draw_dataset(Path(folder) / f"{width}", args.images, (width, height))
                for width, height in ((640, 480), (1920, 1440))
            }
        for title, data in sets.items():
            if args.only in (None, "samples"):
                compare(title, data, args)
            if args.only in (None, "loaders"):
                loaders(title, data, args)
        if args.only in (None, "padding"):
            padding(args.img_size, args.seed)
    return 0


def compare(title: str, data, args) -> None:
    annotations, labels, class_names = data
    paths = [annotation.image_path for annotation in annotations]
    kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1000
    print(f"{title}: {len(paths)} images of {kilobytes:.0f} kB, --img-size {args.img_size}")
    plain = {
        "plain": {},
        "plain, no fog": {"fog": False},
        "plain, no fog, square": {"fog": False, "square": True},
    }
    disk, cached, whole = (training_dataset(annotations, args, augment) for augment in (AUGMENT, AUGMENT, ()))
    cached.cache = open_cache("ram", cached.annotations, cached.stored_hw)
    rows = {
        **{
            name: PlainPipeline(paths, labels, class_names, args.img_size, mosaic_fraction=MIX_SHARE, **options)
            for name, options in plain.items()
        },
        "ours from disk": lambda index: disk[(1, index)],
        "ours --cache ram": lambda index: cached[(1, index)],
        "bare imread": lambda index: cv2.imread(str(paths[index])),
        "bare imread + resize": lambda index: bare(paths[index], whole.stored_hw[index]),
        "ours, whole images": lambda index: whole[(1, index)],
    }
    for index in range(len(paths)):
        cached.load(index)
    milliseconds = in_turns(rows, len(paths), args)
    for name, (cpu, wall) in milliseconds.items():
        print(f"  {name:<21} {1000 / cpu:8.1f} images/s/core   {cpu:7.2f} ms CPU, {wall:7.2f} ms wall")
    pairs = [(fast, slow) for fast in ("ours from disk", "ours --cache ram") for slow in plain]
    for fast, slow in (*pairs, ("ours, whole images", "bare imread + resize")):
        print(f"  {fast} / {slow}: {milliseconds[slow][0] / milliseconds[fast][0]:.2f}")


def bare(path: Path, size_hw) -> np.ndarray:
    image = cv2.imread(str(path))
    height, width = size_hw
    return image if image.shape[:2] == (height, width) else cv2.resize(image, (int(width), int(height)))


def in_turns(rows: dict, count: int, args) -> dict[str, tuple[float, float]]:
    """Return medians over the rounds of CPU and wall time per item in milliseconds; each round has every row."""
    times = {name: [] for name in rows}
    numbers = itertools.count()
    for row in rows.values():
        for index in range(3):
            row(index)
    for round_number in range(args.rounds):
        random.seed(round_number)
        for name, row in rows.items():
            indices = [next(numbers) % count for _ in range(args.items)]
            cpu, wall = time.process_time(), time.perf_counter()
            for index in indices:
                row(index)
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: tuple(1000 * statistics.median(column) / args.items for column in zip(*taken, strict=True))
        for name, taken in times.items()
    }


def loaders(title: str, data, args) -> None:
    """Print the images per second that come out of a DataLoader, in this process and from two others."""
    print(f"{title}: through a DataLoader, batches of {BATCH}")
    for kind in ("off", "ram"):
        for workers in (0, 2):
            dataset = training_dataset(data[0], args, AUGMENT)
            if kind == "ram":
                dataset.cache = open_cache("ram", dataset.annotations, dataset.stored_hw)
            repeats = np.full(len(dataset), max(1.0, 400 / len(dataset)))
            loader = build_loader(dataset, batch_size=BATCH, workers=workers, repeats=repeats)
            rates = []
            for epoch in range(1, 2 + args.rounds):
                loader.batch_sampler.epoch = epoch
                started, images = time.perf_counter(), 0
                for batch, _ in loader:
                    images += len(batch)
                rates.append(images / (time.perf_counter() - started))
            print(
                f"  --cache {kind} --workers {workers}: {statistics.median(rates[1:]):.0f} images/s, batches of {BATCH}"
            )


def padding(img_size: int, seed: int) -> None:
    """Print the fraction of pixels that are padding, by the shapes of samples alone; no image is needed."""
    rng = np.random.default_rng(seed)
    shapes = [(480, 640), (640, 480), (1080, 1920), (1920, 1080), (900, 900)]
    mixed = [shapes[number] for number in rng.choice(5, 2000, p=[0.35, 0.25, 0.15, 0.1, 0.15])]
    print(f"padding of 2000 images, --img-size {img_size}, batches of {BATCH}")
    for title, sizes in (("all 4:3", shapes[:1] * 2000), ("4:3 3:4 16:9 9:16 1:1", mixed)):
        annotations = [blank_annotation(Path(f"{number}.jpg"), size) for number, size in enumerate(sizes)]
        _padding_of(title, annotations, img_size)


def _padding_of(title: str, annotations, img_size: int) -> None:
    for names in ((), ("mosaic",), ("multi-scale",), ("mosaic", "multi-scale")):
        dataset = DetectionDataset(annotations, img_size=img_size, training=True, augment=names)
        sampler = build_loader(dataset, batch_size=BATCH, workers=0).batch_sampler
        fractions = []
        for shape_of in (None, dataset.shape_of):
            sampler.epoch, sampler.shape_of = 1, shape_of
            started = time.perf_counter()
            batches = list(sampler)
            seconds = time.perf_counter() - started
            fractions.append(padded([[dataset.shape_of(key) for key in batch] for batch in batches]))
        augmentations = " ".join(names) or "flip alone"
        each = 1e6 * seconds / len(dataset)
        row = f"  {title:<22} {augmentations:<19}"
        print(f"{row} shuffled {fractions[0]:.1%}, by shape {fractions[1]:.1%} ({each:.0f} us a key)")


def padded(batches: list[list[tuple[int, int]]]) -> float:
    """Return the fraction of padding in batches of these (height, width), each filled up to multiples of 32."""
    total = used = 0
    for shapes in batches:
        height, width = (-(-max(sides) // 32) * 32 for sides in zip(*shapes, strict=True))
        total += len(shapes) * height * width
        used += sum(h * w for h, w in shapes)
    return 1 - used / total


def training_dataset(annotations, args, augment) -> DetectionDataset:
    return DetectionDataset(annotations, img_size=args.img_size, training=True, augment=augment, seed=args.seed)


def from_config(path: Path):
    """Return the annotations of a configuration's training split, the paths of its XML files, and the class names."""
    config = load_config(path)
    scan = scan_split(config, "train")
    raise_for_errors({"train": scan})
    annotations = scan.annotations
    labels = [config.train_labels_dir / f"{annotation.image_path.stem}.xml" for annotation in annotations]
    return annotations, labels, config.class_names


def draw_dataset(folder: Path, count: int, resolution_wh: tuple[int, int]):
    """Draw images with the detail of photographs, noise at every scale, and write XML files of six objects each."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    width, height = resolution_wh
    annotations, labels = [], []
    for number in range(count):
        path = folder / f"{number}.jpg"
        cv2.imwrite(str(path), photograph(rng, resolution_wh), [cv2.IMWRITE_JPEG_QUALITY, 88])
        starts = rng.integers(0, [width * 3 // 4, height * 3 // 4], (6, 2))
        boxes = np.concatenate([starts, starts + rng.integers(height // 20, height // 4, (6, 2))], axis=1)
        classes = rng.integers(1, len(CLASSES), 6)
        labels.append(path.with_suffix(".xml"))
        labels[-1].write_text(xml_of(path, resolution_wh, boxes, classes))
        annotations.append(Annotation(path, width, height, boxes.astype(np.float32), classes, np.zeros(6, bool)))
    return annotations, labels, CLASSES


def photograph(rng: np.random.Generator, resolution_wh: tuple[int, int]) -> np.ndarray:
    width, height = resolution_wh
    image = rng.normal(120, 3, (height, width, 1)).astype(np.float32).repeat(3, axis=2)
    for across, deviation in ((4, 60), (16, 40), (64, 25), (256, 12)):
        coarse = rng.normal(0, deviation, (max(2, across * height // width), across, 3)).astype(np.float32)
        image += cv2.resize(coarse, resolution_wh, interpolation=cv2.INTER_CUBIC)
    return image.clip(0, 255).astype(np.uint8)


def xml_of(path: Path, resolution_wh, boxes: np.ndarray, classes: np.ndarray) -> str:
    objects = "".join(
        f"<object><name>{CLASSES[label]}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
        f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for (x1, y1, x2, y2), label in zip(boxes.tolist(), classes.tolist(), strict=True)
    )
    width, height = resolution_wh
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>.</folder><filename>{path.name}</filename>{size}{objects}</annotation>"


def blank_annotation(path: Path, size_hw: tuple[int, int]) -> Annotation:
    height, width = size_hw
    return Annotation(path, width, height, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--data", type=Path, metavar="CONFIG", help="a dataset in Pascal VOC XML instead")
    parser.add_argument("-ims", "--img-size", type=int, default=640, metavar="PIXELS")
    parser.add_argument("--images", type=int, default=48, help="images to make of each size")
    parser.add_argument("--items", type=int, default=96, help="of each row in a round")
    parser.add_argument("--only", choices=("samples", "loaders", "padding"), help="one part of it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    try:
        sys.exit(main(parser.parse_args()))
    except ToolkitError as error:
        stop(error)
