"""Put label errors into a dataset, find them with out-of-fold predictions, and compare with cleanlab and hotcoco.

    python benchmarks/label_errors.py --config data_configs/ppe_sample.yaml --work /tmp/label_errors -- \
        --model fasterrcnn_resnet10_fpn_small --epochs 20

A tenth of the training objects get errors of three kinds: missing, wrong class, badly placed; `--kinds` adds doubled.
`train.py --folds` judges them; what follows `--` goes to it. Printed are the part of the first N listed that is right,
N being the number of errors put in, and the part of all errors that the whole list has. With `--ap` also the AP on the
validation split of three trainings: on the clean, the spoiled and the corrected labels. With `--anew` the detections
judge errors of other seeds, too, on the same images: those of models that had learned other errors. What is in `--work`
already is not done again. cleanlab is used where the Python of `--cleanlab-python` has it, and hotcoco where it is
installed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from label_error_peers import cleanlab_candidates, hotcoco_candidates
from spoiled_labels import KINDS, USUAL_KINDS, spoil

from utils.annotations.boxes import box_iou
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.dataset.writer import write_dataset
from utils.evaluation.packed import PackedDetections, PackedTruth
from utils.label_errors.correction import corrected
from utils.label_errors.find import find_label_errors

ROOT = Path(__file__).resolve().parents[1]
SHARE = 0.1  # of the objects get an error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--config", type=Path, required=True)
    add("--work", type=Path, required=True, help="folder for datasets and runs, which are kept")
    add("--folds", type=int, default=3)
    add("--seed", type=int, default=2, help="of the errors and of the trainings")
    add("--kinds", nargs="+", choices=KINDS, default=USUAL_KINDS, help="of the errors")
    add("--anew", nargs="+", type=int, default=[], metavar="SEED", help="judge errors of other seeds, too")
    add("--ap", action="store_true", help="train on clean, spoiled and corrected labels, too")
    add("--cleanlab-python", default=sys.executable, help="a Python that has cleanlab")
    add("training", nargs="*", help="flags of train.py, after --")
    args = parser.parse_args()
    work = args.work.resolve()
    config = load_config(args.config)
    scans = scan_splits(config, ("train", "val"), skip_bad=True, progress=False)
    clean, val = scans["train"].annotations, scans["val"].annotations
    spoiled, errors = spoil(clean, config.num_classes - 1, SHARE, args.seed, args.kinds)
    for name, train in (("clean", clean), ("bad", spoiled)):
        if not (work / name / "dataset.yaml").exists():
            write_dataset(work / name, {"train": train, "val": val}, config.class_names, "voc", progress=False)
    names = ", ".join(config.class_names[1:])
    images_dir = work / "bad/train"
    text = f"TRAIN_DIR_IMAGES: {images_dir}\nSPLIT: 0.2\nCLASSES: [{names}]\nSAVE_VALID_PREDICTION_IMAGES: false\n"
    (work / "folds.yaml").write_text(text)
    common = [*args.training, "--seed", str(args.seed)]
    train_once(work, "folds", ["--config", "folds.yaml", "--folds", str(args.folds), *common])

    truth, found, order = out_of_fold(work / "outputs/training/folds", [a.image_path for a in clean], images_dir)
    place = {image: n for n, image in enumerate(order)}
    errors = [error | {"image": place[error["image"]]} for error in errors if error["image"] in place]
    ours = find_label_errors(truth, found)
    print(f"{len(order)} images, {len(truth)} labels, {len(errors)} errors put in")
    compare(truth, found, errors, args.cleanlab_python, work)
    for seed in args.anew:
        labels, errors = spoil([clean[image] for image in order], config.num_classes - 1, SHARE, seed, args.kinds)
        print(f"\nerrors of seed {seed}: {len(errors)}")
        compare(PackedTruth.of_annotations(labels, config.class_names), found, errors, args.cleanlab_python, work)
    if args.ap:
        kept = [spoiled[image] for image in order]
        better = dict(zip(order, corrected(kept, ours), strict=True))
        labels = [better.get(image, annotation) for image, annotation in enumerate(spoiled)]
        if not (work / "corrected/dataset.yaml").exists():
            write_dataset(work / "corrected", {"train": labels, "val": val}, config.class_names, "voc", progress=False)
        print("\n| trained on | AP of the last epoch | AP50 |\n|---|---|---|")
        for name in ("clean", "bad", "corrected"):
            train_once(work, name, ["--config", f"{name}/dataset.yaml", *common])
            lines = (work / "outputs/training" / name / "metrics.jsonl").read_text().splitlines()
            last = [record for record in map(json.loads, lines) if record["kind"] == "epoch"][-1]
            print(f"| {name} | {last['val/map_50_95']:.4f} | {last['val/map_50']:.4f} |")


def compare(truth: PackedTruth, found: PackedDetections, errors: list[dict], cleanlab_python: str, work: Path) -> None:
    """Print how many of the errors each of the tools lists, and how many of its first ones are errors."""
    ours = [(e.image, e.object, e.suggested_box) for e in find_label_errors(truth, found)]
    candidates = {"here": ours, "cleanlab 2.9": cleanlab_candidates(truth, found, cleanlab_python, work)}
    candidates["hotcoco"] = hotcoco_candidates(truth, found)
    print("\n| | listed | right among the first N | in the whole list |\n|---|---|---|---|")
    for name, listed in candidates.items():
        if listed is None:
            print(f"| {name} | not installed | | |")
            continue
        hit = hits(listed, errors)
        first = [error for error in hit[: len(errors)] if error is not None]
        total = sum(error is not None for error in hit)
        of_kind = [(kind, *(sum(e["kind"] == kind for e in part) for part in (first, errors))) for kind in KINDS]
        kinds = ", ".join(f"{right} of {count} {kind}" for kind, right, count in of_kind if count)
        print(f"| {name} | {len(listed)} | {len(first) / len(errors):.3f} ({kinds}) | {total / len(errors):.3f} |")


def train_once(work: Path, name: str, options: list[str]) -> None:
    """Run train.py in `work`, or continue, unless the run is complete."""
    run = work / "outputs/training" / name
    if any((run / done).exists() for done in ("last_model_state.pth", "out_of_fold_predictions.json")):
        return
    resumed = ["--resume-training"] if (run / "args.yaml").exists() and list(run.rglob("last_model.pth")) else []
    command = [sys.executable, str(ROOT / "train.py"), "--project-name", name, *options, *resumed]
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)


def out_of_fold(run: Path, paths: list[Path], images_dir: Path) -> tuple[PackedTruth, PackedDetections, list[int]]:
    """Read a run's out-of-fold files; also return the index in `paths` of each image."""
    dataset = json.loads((run / "out_of_fold_ground_truth.json").read_text())
    results = json.loads((run / "out_of_fold_predictions.json").read_text())
    of_name = {path.name: index for index, path in enumerate(paths)}
    order = sorted(of_name[Path(image["file_name"]).name] for image in dataset["images"])
    names = {paths[index].name: n for n, index in enumerate(order)}
    number = {image["id"]: names[Path(image["file_name"]).name] for image in dataset["images"]}
    labels = dataset["annotations"]
    class_names = ("__background__", *(category["name"] for category in dataset["categories"]))
    boxes = np.array([label["bbox"] for label in labels], np.float64).reshape(-1, 4)
    truth = PackedTruth(
        np.array([number[label["image_id"]] for label in labels], np.int64),
        np.array([label["category_id"] for label in labels], np.int64),
        boxes, boxes[:, 2] * boxes[:, 3], np.zeros(len(labels), bool), len(order), class_names,
    )  # fmt: skip
    found = PackedDetections(
        np.array([number[result["image_id"]] for result in results], np.int64),
        np.array([result["category_id"] for result in results], np.int64),
        np.array([result["bbox"] for result in results], np.float64).reshape(-1, 4),
        np.array([result["score"] for result in results], np.float64),
    )
    return truth, found, order


def hits(listed: list[tuple], errors: list[dict]) -> list[dict | None]:
    """Return for each listed (image, object or None, box) the error that it finds; each error is found once.

    A label finds the error that it shows; a box without a label finds a missing one that it overlaps by half.
    """
    of_image: dict[int, list[dict]] = {}
    for error in errors:
        of_image.setdefault(error["image"], []).append(error)
    result = []
    for image, label, box in listed:
        for error in of_image.get(image, []):
            by_label = label is not None and label in error["objects"]
            if by_label or (
                label is None
                and not error["objects"]
                and box_iou(np.array(error["box"]), np.array(box, np.float64)) >= 0.5
            ):
                result.append(error)
                of_image[image].remove(error)
                break
        else:
            result.append(None)
    return result


if __name__ == "__main__":
    main()
