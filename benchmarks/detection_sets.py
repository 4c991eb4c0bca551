"""Sets of detections for benchmarks of what is computed from them: read from COCO files, or drawn."""

import json
from pathlib import Path

import numpy as np

from utils.evaluation.matching import ClassMatches, Matches, match
from utils.evaluation.packed import PackedDetections, PackedTruth

DRAWN_IMAGES = 4000


def read_matches(truth_file: Path, predictions_file: Path) -> Matches:
    """Match detections of one COCO file with the objects of another, images by their file names, at IoU 0.5.

    Predictions are a list of COCO results, or a COCO dataset whose annotations have scores.
    """
    truth, found = (json.loads(Path(file).read_text(encoding="utf-8")) for file in (truth_file, predictions_file))
    categories = sorted(truth["categories"], key=lambda category: category["id"])
    label_of = {category["name"]: label for label, category in enumerate(categories, start=1)}
    place_of = {Path(image["file_name"]).name: place for place, image in enumerate(truth["images"])}

    def columns(dataset: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        places = {image["id"]: place_of[Path(image["file_name"]).name] for image in dataset["images"]}
        labels = {category["id"]: label_of[category["name"]] for category in dataset["categories"]}
        rows = dataset["annotations"]
        return (
            np.array([places[row["image_id"]] for row in rows], np.int64),
            np.array([labels[row["category_id"]] for row in rows], np.int64),
            np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4),
        )

    if isinstance(found, list):
        found = truth | {"annotations": found}
    image_of, labels, boxes = columns(truth)
    crowd = np.array([bool(row.get("iscrowd")) for row in truth["annotations"]], bool)
    packed = PackedTruth(
        image_of, labels, boxes, boxes[:, 2] * boxes[:, 3], crowd, len(place_of), ("background", *label_of)
    )
    scores = np.array([row["score"] for row in found["annotations"]], np.float64)
    return match(packed, PackedDetections(*columns(found), scores), iou_thresholds=[0.5])


def draw_matches(seed: int = 0, images: int = DRAWN_IMAGES, classes: int = 3) -> Matches:
    """Draw an over-confident detector's matches: objects of an image are found or missed alike, and so are its errors.

    Classes have 0.5 to 4 objects an image, more in some. An object is found with a score that its image's difficulty
    moves; besides there are false detections, most of them with low scores, some with high ones. Scores are then
    sharpened, as training does that lasts too long.
    """
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 0.8, images)
    made = []
    for label in range(1, classes + 1):
        objects = rng.poisson(rng.gamma(1.5, (0.5, 1.5, 4.0)[label % 3] / 1.5, images))
        found = np.repeat(np.arange(images), objects)
        found = found[rng.random(len(found)) < 0.97]
        right = rng.normal(1.8 - difficulty[found], 1.5)
        wrong_of = np.repeat(np.arange(images), rng.poisson(np.exp(0.5 * difficulty) * objects.mean() * 2))
        wrong = rng.normal(-2.0 + 0.3 * difficulty[wrong_of], 1.2)
        scores = 1 / (1 + np.exp(-1.8 * np.r_[right, wrong] - 0.5))
        image_of, correct = np.r_[found, wrong_of], np.r_[np.ones(len(found), bool), np.zeros(len(wrong_of), bool)]
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= 0.05]  # the least that models give
        truth_of = np.where(correct[order], 0, -1)[None]
        empty = np.zeros((1, len(order)), bool)
        made.append(
            ClassMatches(label, np.arange(len(order)), image_of[order], scores[order], truth_of, empty, objects)
        )
    return Matches(np.array([0.5]), images, ("background", *(f"class {i}" for i in range(1, classes + 1))), made)


def part_of(matches: Matches, images: np.ndarray) -> Matches:
    """Return the matches of some images, which are numbered anew."""
    place_of = np.full(matches.num_images, -1)
    place_of[images] = np.arange(len(images))
    classes = []
    for found in matches.classes:
        places = place_of[found.image_of]
        kept = places >= 0
        rows = (
            found.detections[kept],
            places[kept],
            found.scores[kept],
            found.truth_of[:, kept],
            found.ignored[:, kept],
        )
        classes.append(ClassMatches(found.label, *rows, found.objects[images]))
    return Matches(matches.iou_thresholds, len(images), matches.class_names, classes)


def halves(matches: Matches, size: int, rng: np.random.Generator) -> tuple[Matches, Matches]:
    """Draw two parts of `size` different images each."""
    drawn = rng.permutation(matches.num_images)[: 2 * size]
    return part_of(matches, drawn[:size]), part_of(matches, drawn[size:])
