"""Measure the private memory of a loader process after an epoch, over the number of images: ours, and with a list.

    python benchmarks/loader_memory.py --images 1000 100000

The annotations are made up, and all files are one small image. "list" keeps one `Annotation` per image, as a dataset
class usually does, and is otherwise the same. Prints the private memory (USS) of each process from Linux's
smaps_rollup: what it would give back if it ended.
"""

import argparse
import multiprocessing
import re
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets import DetectionDataset, build_loader
from utils.annotations.annotation import Annotation

SIDE = 32


class Listed(DetectionDataset):
    """A dataset that keeps one object per image."""

    listed: list[Annotation]

    def load(self, index: int):
        annotation = self.listed[index]  # counted as one more reference, hence written to
        _ = annotation.boxes, annotation.labels, annotation.image_path
        return super().load(index)


def main(args) -> int:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.png"
        cv2.imwrite(str(image), np.full((SIDE, SIDE, 3), 128, np.uint8))
        for count in args.images:
            annotations = [made_up(number, image) for number in range(count)]
            for kind, make in (("packed", DetectionDataset), ("list", Listed)):
                dataset = make(annotations, img_size=SIDE, training=True)
                dataset.listed = annotations if make is Listed else None
                sizes = ", ".join(f"{size / 2**20:.1f}" for size in own_memory(dataset, args.workers))
                print(f"{count:>7} images, {kind:<6}: {sizes} MiB of its own in each of {args.workers} processes")
            packed = dataset.annotations.nbytes
            print(f"        the packed annotations: {packed / 2**20:.2f} MiB, {packed / count:.0f} bytes an image")
    return 0


def made_up(number: int, image: Path) -> Annotation:
    """Return an annotation of an image with a name of its own, of six objects on average."""
    objects, path = number % 13, image.with_name(f"{number:012}.png")
    if not path.exists():
        path.symlink_to(image)
    boxes = np.tile(np.float32([[2, 3, 20, 25]]), (objects, 1))
    return Annotation(path, SIDE, SIDE, boxes, np.ones(objects, np.int64), np.zeros(objects, bool))


def own_memory(dataset, workers: int) -> list[int]:
    """Return the bytes that each loader process has to itself after an epoch."""
    loader = build_loader(dataset, batch_size=16, workers=workers)
    loader.batch_sampler.epoch = 1
    for _ in loader:
        pass
    sizes = [private_bytes(process.pid) for process in multiprocessing.active_children()]
    del loader
    return sizes


def private_bytes(pid: int | str = "self") -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_\w+: +([0-9]+) kB", rollup, re.MULTILINE)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 100000])
    parser.add_argument("-j", "--workers", type=int, default=2)
    sys.exit(main(parser.parse_args()))
