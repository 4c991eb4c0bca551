"""COCO's numbers of 5,000 images × 100 detections × 80 classes: the engine beside pycocotools, time and memory.

    python benchmarks/coco_eval.py

Each kind runs in a process of its own, from the same random split: "engine" is `coco_arrays` with packed arrays in,
"pycocotools" the same with lists of dicts in, "matching" is `match` and `average_precision` for one area range,
"bootstrap" 1,000 resamples of those matches. Prints the seconds of the work alone, by the clock and of all cores, the
highest memory above that with the input loaded (Linux), and how far the precision is from pycocotools'.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.evaluation.bootstrap import resample_ap
from utils.evaluation.coco.engine import coco_arrays
from utils.evaluation.matching import average_precision, match
from utils.evaluation.packed import PackedDetections, PackedTruth

OBJECTS = 7  # of an image, as in COCO


def draw(images: int, detections: int, classes: int) -> tuple[PackedTruth, PackedDetections]:
    """Draw objects, some of them crowds, and detections, a third of them near an object."""
    generator = np.random.default_rng(0)
    n, m = images * OBJECTS, images * detections
    boxes = np.concatenate([generator.uniform(0, 500, (n, 2)), generator.uniform(10, 200, (n, 2))], axis=1)
    labels, crowd = generator.integers(1, classes + 1, n), generator.random(n) < 0.01
    names = tuple(map(str, range(classes + 1)))
    truth = PackedTruth(
        np.repeat(np.arange(images), OBJECTS), labels, boxes, boxes[:, 2] * boxes[:, 3], crowd, images, names
    )
    image_of = np.repeat(np.arange(images), detections)
    source = image_of * OBJECTS + generator.integers(0, OBJECTS, m)
    near = generator.random(m) < 1 / 3
    moved = boxes[source] + generator.normal(0, 8, (m, 4))
    found = np.concatenate([generator.uniform(0, 500, (m, 2)), generator.uniform(10, 200, (m, 2))], axis=1)
    found[near] = np.maximum(moved, 1)[near]
    found_labels = np.where(near, labels[source], generator.integers(1, classes + 1, m))
    return truth, PackedDetections(image_of, found_labels, found, generator.random(m))


def as_dicts(truth: PackedTruth, detections: PackedDetections) -> tuple[dict, list[dict]]:
    """Return a COCO dataset and results, which pycocotools takes."""
    keys = ("image_id", "category_id", "bbox", "area", "iscrowd")
    columns = (truth.image_of, truth.labels, truth.boxes_xywh, truth.areas, truth.crowd.astype(int))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    annotations = [{"id": i, **dict(zip(keys, row, strict=True))} for i, row in enumerate(rows, start=1)]
    columns = (detections.image_of, detections.labels, detections.boxes_xywh, detections.scores)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    results = [dict(zip(("image_id", "category_id", "bbox", "score"), row, strict=True)) for row in rows]
    images = [{"id": image} for image in range(truth.num_images)]
    categories = [{"id": label} for label in range(1, len(truth.class_names))]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}, results


def engine(truth: PackedTruth, detections: PackedDetections) -> Callable[[], np.ndarray]:
    return lambda: coco_arrays(truth, detections).precision


def pycocotools(truth: PackedTruth, detections: PackedDetections) -> Callable[[], np.ndarray]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    dataset, results = as_dicts(truth, detections)

    def work() -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            there = COCO()
            there.dataset = dataset
            there.createIndex()
            coco_eval = COCOeval(there, there.loadRes(results), "bbox")
            coco_eval.evaluate()
            coco_eval.accumulate()
        return coco_eval.eval["precision"]

    return work


def matching(truth: PackedTruth, detections: PackedDetections) -> Callable[[], np.ndarray]:
    return lambda: average_precision(match(truth, detections))


def bootstrap(truth: PackedTruth, detections: PackedDetections) -> Callable[[], np.ndarray]:
    matches = match(truth, detections)
    return lambda: resample_ap(matches)


KINDS = {"engine": engine, "pycocotools": pycocotools, "matching": matching, "bootstrap": bootstrap}


def memory(key: str) -> float:
    """Return a figure of this process, MB: VmRSS now, VmHWM the highest since it was reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return float("nan")


def run_one(kind: str, result: Path, sizes: list[int]) -> None:
    """Prepare, work and write the result; print the seconds and the memory as JSON."""
    split = draw(*sizes)
    coco_arrays(*draw(2, 2, 2)) if kind == "engine" else None  # the import is not what is measured
    work = KINDS[kind](*split)
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory is that of the work from here on
    before, start, start_cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    values = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    np.save(result, values if kind != "bootstrap" else values[:1])
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": memory("VmHWM") - before}))


def main(options) -> int:
    sizes = [options.images, options.detections, options.classes]
    with tempfile.TemporaryDirectory() as folder:
        if options.one:
            run_one(options.one, Path(options.result), sizes)
            return 0
        print(f"{sizes[0]} images x {sizes[1]} detections x {sizes[2]} classes")
        measured, precision = {}, {}
        for kind in KINDS:
            rounds = 1 if kind == "pycocotools" else options.rounds
            result = Path(folder) / f"{kind}.npy"
            command = [sys.executable, __file__, "--one", kind, "--result", str(result)]
            command += ["--images", str(sizes[0]), "--detections", str(sizes[1]), "--classes", str(sizes[2])]
            runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(rounds)]
            measured[kind] = min(runs, key=lambda run: run["seconds"])
            precision[kind] = np.load(result)
    for kind, found in measured.items():
        of = measured["pycocotools"]
        text = f"1/{of['seconds'] / found['seconds']:.0f} and 1/{of['cpu'] / found['cpu']:.0f} of pycocotools'"
        cost = f"{found['seconds']:.2f} s, {found['cpu']:.2f} s of CPU, +{found['memory']:.0f} MB"
        print(f"{kind:<12} {cost}" + ("" if kind == "bootstrap" else f"; {text}"))
    reference = precision["pycocotools"]
    print(f"precision of the engine: largest difference {np.abs(precision['engine'] - reference).max():.1e}")
    ap = np.where(reference < 0, np.nan, reference)[..., 0, -1].mean(axis=1).T
    print(f"AP of the matching: largest difference {np.nanmax(np.abs(precision['matching'] - ap)):.1e}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="of each image")
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3, help="of all but pycocotools; the fastest counts")
    parser.add_argument("--one", choices=list(KINDS), help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    sys.exit(main(parser.parse_args()))
