"""Time the first and the second start on a large dataset, until its data is read: side by side, on the same files.

    python benchmarks/scan_cache.py --images 100000

Makes small images with XML files in a temporary folder (about 12 KB of disk for each) and starts anew for every row:
a process that reads the YAML, scans the dataset as train.py does, and says how long that took. "one label changed"
is after one XML file was written anew; "none changed" has nothing to do but to see that. With --train, a row more is
the time from the command `python train.py` to the line before its first step.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 160, 120
START = """
import sys, time
started = time.perf_counter()
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.images.cache import CACHE_ROOT
config = load_config("set.yaml")
read = time.perf_counter()
scans = scan_splits(config, ("train", "val"), progress=False, cache=CACHE_ROOT if sys.argv[1] == "kept" else None)
raise_for_errors(scans)
ended = time.perf_counter()
objects = sum(len(a.labels) for scan in scans.values() for a in scan.annotations)
print(f"{read - started:.1f} {ended - read:.1f} {objects}")
"""


def main(args) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder, args.images)
        time.sleep(3)  # files that were changed just now are read again the next time
        print(f"{args.images} images of {WIDTH}x{HEIGHT} pixels with an XML file each; seconds")
        print(f"{'start':<28}{'YAML and format':>16}{'scan':>8}{'both':>8}")
        row("nothing is kept", folder, "anew")
        row("the first", folder, "kept")
        row("the second, none changed", folder, "kept")
        label = next((folder / "train").glob("*.xml"))
        label.write_text(label.read_text())
        time.sleep(3)
        row("one label changed", folder, "kept")
        row("none changed", folder, "kept")
        kept = sum(path.stat().st_size for path in (folder / "outputs/cache").iterdir())
        print(f"outputs/cache has {kept / 2**20:.0f} MiB, {kept / args.images:.0f} bytes for an image")
        for title in ("train.py, none changed", "train.py, nothing kept") if args.train else ():
            if title.endswith("kept"):
                for path in (folder / "outputs/cache").iterdir():
                    path.unlink()
            print(f"{title:<28}{seconds_to_first_step(folder):>32.1f}  to the first step")
    return 0


def write_dataset(folder: Path, count: int) -> None:
    """Write images of blots with up to six boxes, nine in ten of them for training."""
    rng = np.random.default_rng(0)
    blots = cv2.GaussianBlur(rng.integers(0, 255, (4 * HEIGHT, 4 * WIDTH, 3), np.uint8), (0, 0), 3)
    for split, number in (("train", count - count // 10), ("val", count // 10)):
        (folder / split).mkdir()
        for index in range(number):
            x, y = int(rng.integers(3 * WIDTH)), int(rng.integers(3 * HEIGHT))
            image, objects = blots[y : y + HEIGHT, x : x + WIDTH].copy(), []
            for name in ("cat", "dog") * int(rng.integers(4)):
                x1, y1 = int(rng.integers(WIDTH - 45)), int(rng.integers(HEIGHT - 35))
                x2, y2 = x1 + int(rng.integers(5, 40)), y1 + int(rng.integers(5, 30))
                cv2.rectangle(image, (x1, y1), (x2, y2), rng.integers(0, 255, 3).tolist(), -1)
                corners = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
                objects.append(f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>")
            size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
            path = folder / split / f"image_{index:06}.jpg"
            path.write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
            path.with_suffix(".xml").write_text(f"<annotation>{size}{''.join(objects)}</annotation>")
    (folder / "set.yaml").write_text("TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: val\nCLASSES: [cat, dog]\n")


def row(title: str, folder: Path, how: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", START, how], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    config, scan = map(float, done.stdout.split()[:2])
    print(f"{title:<28}{config:>16.1f}{scan:>8.1f}{config + scan:>8.1f}", flush=True)


def seconds_to_first_step(folder: Path) -> float:
    """Start a training and kill it once it says where results go, which is the last it does before the first step."""
    command = [sys.executable, ROOT / "train.py", "--config", "set.yaml", "--project-name", "x", "--epochs", "1"]
    more = "--model fasterrcnn_mobilenet_v3_large_320_fpn --batch-size 4 --device cpu --pretrained none --no-mosaic"
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, *more.split()], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    )
    seen = b""
    while b"results go to" not in seen and (part := os.read(process.stdout.fileno(), 2**16)):
        seen = seen[-4000:] + part
    seconds = time.perf_counter() - started
    if process.poll() is None:
        process.kill()
    elif process.returncode:
        raise SystemExit(seen.decode(errors="replace"))
    return seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--train", action="store_true", help="time train.py, too")
    sys.exit(main(parser.parse_args()))
