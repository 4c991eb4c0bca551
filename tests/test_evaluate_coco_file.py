"""evaluate.py on a dataset in COCO's format: crowds, mask areas and ids are the file's own, as pycocotools has them."""

import json
import os
import sys

import cv2
import pytest

from support import warm
from support.clean_sets import boxes_of, drawn_image
from support.coco_reference import run_pycocotools
from support.paths import ROOT
from support.trained_models import train_by_heart
from utils.evaluation.coco.metrics import COCO_KEYS

IDS = {"Mask": 7, "Gloves": 3, "Unused": 90}
YAML = "TRAIN_DIR_IMAGES: train\nTRAIN_DIR_LABELS: train.json\nVALID_DIR_IMAGES: val\nVALID_DIR_LABELS: val.json\n"


def evaluate(cwd, config, *arguments):
    command = [sys.executable, ROOT / "evaluate.py", "--weights", "best_model.pth", "--config", config, *arguments]
    return warm.run([*command, "--device", "cpu"], cwd=cwd, env=dict(os.environ))


def annotation(image_id, name, box, **more) -> dict:
    x1, y1, x2, y2 = box
    keys = {"image_id": image_id, "category_id": IDS[name], "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
    return {**keys, "area": 0.1 * (x2 - x1) * (y2 - y1), **more}  # of a mask: medium where the box is large


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images with ids that fall, crowds over what is found, a crowd alone, and a box that reaches out of its image."""
    folder = tmp_path_factory.mktemp("coco")
    for name in ("train", "val"):
        (folder / name).mkdir()
    images, rows = [], []
    for number in range(6):
        cv2.imwrite(str(folder / ("val" if number else "train") / f"p {number}.jpg"), drawn_image(number))
        images.append({"id": 100 - number, "file_name": f"p {number}.jpg", "width": 400, "height": 300})
        rows += [annotation(100 - number, name, box) for name, box in boxes_of(number)]
    categories = [{"id": key, "name": name} for name, key in IDS.items()]

    def write(name, part, objects):
        numbered = [{"id": number, **row} for number, row in enumerate(objects, start=1)]
        ids = {image["id"] for image in part}
        content = {"images": part, "annotations": [row for row in numbered if row["image_id"] in ids]}
        (folder / name).write_text(json.dumps({**content, "categories": categories}))

    write("train.json", images[:1], rows)
    write("val.json", images[1:], rows)
    yaml = folder / "set.yaml"
    yaml.write_text(f"{YAML}CLASSES: [Mask, Gloves]\nFORMAT: coco\n")
    train_by_heart(yaml, folder / "best_model.pth", steps=150)
    rows[2] |= {"iscrowd": 1}
    rows[4]["bbox"][0] = -5.5
    alone = [row for row in rows if row["image_id"] == 97]
    for row in alone:
        row["iscrowd"] = 1
    write("val.json", images[1:], rows)
    return folder


def check_against_pycocotools(out, dataset: dict) -> dict:
    results = json.loads((out / "predictions.json").read_text())
    reference = run_pycocotools(dataset, results)
    reference.summarize()
    numbers = json.loads((out / "evaluation.json").read_text())
    expected = [None if value == -1 else pytest.approx(value, abs=1e-12) for value in reference.stats.tolist()]
    assert [numbers["coco"][key] for key in COCO_KEYS] == expected
    return numbers


def test_the_numbers_are_pycocotools_of_the_file_itself(place):
    done = evaluate(place, "set.yaml", "-o", "out")
    assert done.returncode == 0, done.stderr
    dataset = json.loads((place / "val.json").read_text())
    numbers = check_against_pycocotools(place / "out", dataset)
    assert numbers["images"] == 5 and numbers["coco"]["map_50"] > 0.1 and "note:" not in done.stdout
    assert numbers["coco"]["map_medium"] is not None and numbers["coco"]["map_large"] is None
    check_against_pycocotools(place / "out", json.loads((place / "out/ground_truth.json").read_text()))
    plain = [row | {"iscrowd": 0} for row in dataset["annotations"]]
    results = json.loads((place / "out/predictions.json").read_text())
    other = run_pycocotools({**dataset, "annotations": plain}, results)
    other.summarize()
    assert other.stats[0] != pytest.approx(numbers["ap"], abs=1e-3)  # crowds make a difference here
    words = ("--predictions", "out/predictions.json", "--ground-truth", "val.json", "-o", "files")
    done = warm.run([sys.executable, ROOT / "evaluate.py", *words], cwd=place, env=dict(os.environ))
    assert json.loads((place / "files/evaluation.json").read_text())["coco"] == numbers["coco"], done.stderr


def test_classes_that_are_renamed_and_a_list_choose_among_the_files_objects(place):
    (place / "list.txt").write_text("p 1\np 2\np 4\n")
    (place / "renamed.yaml").write_text(
        f"{YAML}VALID_LIST: list.txt\nCLASSES: [Gloves, Mask]\nRENAME: {{Unused: Mask}}\nFORMAT: coco\n"
    )
    done = evaluate(place, "renamed.yaml", "-o", "renamed")
    assert done.returncode == 0, done.stderr
    dataset = json.loads((place / "val.json").read_text())
    dataset["images"] = [image for image in dataset["images"] if image["id"] in (99, 98, 96)]
    dataset["annotations"] = [row for row in dataset["annotations"] if row["image_id"] in (99, 98, 96)]
    assert check_against_pycocotools(place / "renamed", dataset)["images"] == 3


def test_images_that_are_not_there_and_folders_of_which_the_file_is_not_the_only_one_are_reported(place):
    content = json.loads((place / "val.json").read_text())
    content["images"].append({"id": 5, "file_name": "gone.jpg", "width": 400, "height": 300})
    (place / "more.json").write_text(json.dumps(content))
    text = f"{YAML}CLASSES: [Mask, Gloves]\nFORMAT: coco\n".replace("val.json", "more.json")
    (place / "more.yaml").write_text(text)
    done = evaluate(place, "more.yaml", "-o", "more")
    assert done.returncode == 0, done.stderr
    assert "note: 1 of 6 images that more.json lists are not there or cannot be used: not counted" in done.stdout
    (place / "second").mkdir()
    cv2.imwrite(str(place / "second" / "p 0.jpg"), drawn_image(50))
    text = text.replace("VALID_DIR_IMAGES: val", "VALID_DIR_IMAGES: [val, second]")
    (place / "two.yaml").write_text(text.replace("more.json", "[val.json, train.json]"))
    done = evaluate(place, "two.yaml", "-o", "two")
    assert done.returncode == 0, done.stderr
    assert "val.json may have do not count: the split has several folders" in done.stdout
