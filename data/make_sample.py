"""Draw a small Pascal VOC dataset of medical staff in protective equipment, to try the toolkit on.

    python data/make_sample.py                     # data/ppe_sample/{train,test}: 120 and 30 images with their XML
    python data/make_sample.py --out DIR --seed 1  # another set, elsewhere

The images are drawn, not photographed: what a network learns from them shows that the toolkit works, no more. The
same seed gives the same images, whatever the counts. What is there already is never overwritten. Without --out an
image and a clip to run inference on are drawn too, where data/inference_data lacks them.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from utils.cli.guard import check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(("numpy", "cv2", "tqdm", "av"))

import cv2
import numpy as np
from sample.scenes import photographed, scene
from sample.showcase import staged_image, write_clip
from tqdm import tqdm

from utils.formats.voc.writer import voc_xml

DATA_DIR = Path(__file__).resolve().parent
SIZES = ((448, 336), (416, 416), (336, 448), (480, 320), (512, 384), (384, 480), (480, 360))  # width, height
NOTE = "made_by_make_sample.json"  # marks this script's complete output


def write_pair(split_dir, split_index, index, seed):
    """Write one image and its XML; both depend on the seed, the split and the index alone."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, split_index, index]))
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    canvas = scene(width, height, rng, empty=index % 20 == 4)  # one in twenty shows nothing of the five classes
    image_path = split_dir / f"ppe_{index:04d}.jpg"
    write_jpeg(image_path, photographed(canvas.finished(), rng), quality=int(rng.integers(82, 95)))
    objects = canvas.visible_boxes()
    names, boxes, truncated = zip(*objects, strict=True) if objects else ((), (), ())
    xml = voc_xml(
        image_path.name,
        (width, height),
        names,
        np.array(boxes, float).reshape(-1, 4),
        truncated=truncated,
        path=Path(split_dir.name, image_path.name),
    )
    image_path.with_suffix(".xml").write_text(xml, encoding="utf-8")


def write_jpeg(path, image, quality):
    path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def fault_of(out_dir, asked):
    """Describe why `out_dir` is not the complete set that is asked for; None where it is."""
    if not out_dir.is_dir():
        return "it is a file"
    try:
        made = json.loads((out_dir / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        names = sorted(path.name for path in out_dir.iterdir())
        return f"it has no readable {NOTE}, but {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
    if made != asked:
        return f"it holds {made}, not {asked}"
    for split in ("train", "test"):
        for suffix in (".jpg", ".xml"):
            found = len(list((out_dir / split).glob(f"*{suffix}")))
            if found != asked[split]:
                return f"its {split} folder holds {found} {suffix} files, not {asked[split]}"
    return None


def draw_set(out_dir, asked):
    """Draw the whole set beside `out_dir`, then rename it, so that an interrupted run leaves no half set."""
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out_dir.name}.", dir=out_dir.parent) as beside:
        made = Path(beside) / out_dir.name
        with tqdm(total=asked["train"] + asked["test"], desc="drawing", unit="image", disable=None) as bar:
            for split_index, split in enumerate(("train", "test")):
                (made / split).mkdir(parents=True)
                for index in range(asked[split]):
                    write_pair(made / split, split_index, index, asked["seed"])
                    bar.update()
        (made / NOTE).write_text(json.dumps(asked) + "\n", encoding="utf-8")
        if out_dir.exists():
            out_dir.rmdir()  # an empty folder, which not every system lets a rename replace
        made.rename(out_dir)


def draw_showcase(inference_dir):
    """Draw the image and the clip that are absent from `inference_dir`."""
    inference_dir.mkdir(exist_ok=True)
    for path in (inference_dir / "image_1.jpg", inference_dir / "video_1.mp4"):
        if path.exists():
            continue
        beside = path.with_name(f".{path.name}.partial")
        if path.suffix == ".jpg":
            write_jpeg(beside, staged_image(), quality=88)
        else:
            write_clip(beside)
        beside.replace(path)
        print(f"{path}: drawn")


def count(text):
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, found {number}")
    return number


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder to make, with train/ and test/ (default: data/ppe_sample)")
    parser.add_argument("--train", type=count, default=120, help="training images (default: %(default)s)")
    parser.add_argument("--test", type=count, default=30, help="test images (default: %(default)s)")
    parser.add_argument("--seed", type=count, default=0, help="another seed, other images (default: %(default)s)")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)  # the shapes are small: more threads only wait for one another

    out_dir = args.out or DATA_DIR / "ppe_sample"
    asked = {"seed": args.seed, "train": args.train, "test": args.test}
    if out_dir.is_file() or (out_dir.is_dir() and any(out_dir.iterdir())):
        fault = fault_of(out_dir, asked)
        if fault:
            print(f"{out_dir}: expected nothing there or the complete set; {fault}. Nothing was changed: move it away "
                  "or draw elsewhere with --out.", file=sys.stderr)  # fmt: skip
            return 2
        print(f"{out_dir}: complete already, left as it is")
    else:
        draw_set(out_dir, asked)
        print(f"{out_dir}: {args.train} training and {args.test} test images drawn")
    if args.out is None:
        draw_showcase(DATA_DIR / "inference_data")
    return 0


if __name__ == "__main__":
    STATUS = 0
    try:
        STATUS = main()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads the last lines, and all is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(STATUS)
