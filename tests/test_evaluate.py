"""evaluate.py as its users run it: a process, a dataset on disk, and what is printed and written."""

import contextlib
import io
import json
import os
import sys

import pytest
import torch
import yaml
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models import create_model
from support import warm
from support.clean_sets import write_clean_set, write_pair, write_yaml
from support.paths import ROOT
from support.trained_models import train_by_heart
from torch_utils.runs.checkpoint import save_checkpoint
from utils.evaluation.coco.metrics import COCO_KEYS

SCRIPT = ROOT / "evaluate.py"


def evaluate(cwd, *arguments, **env):
    return warm.run([sys.executable, SCRIPT, *arguments], cwd=cwd, env=dict(os.environ) | env)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset of three splits, and a detector that knows it by heart, more or less."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_clean_set(folder)
    for number in range(4):
        write_pair(folder / "valid", f"b{number}", 50 + number)
    for number in range(3):
        write_pair(folder / "kept", f"c{number}", 200 + number)
    path = write_yaml(folder, extra="TEST_DIR_IMAGES: kept\n")
    path.write_text(path.read_text().replace("VALID_DIR_IMAGES: test", "VALID_DIR_IMAGES: valid"))
    train_by_heart(path, folder / "best_model.pth", steps=50)
    return folder


@pytest.fixture(scope="module")
def run(place):
    done = evaluate(place, "--weights", "best_model.pth", "--config", "shapes.yaml", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return done, place / "outputs" / "evaluation" / "res_1"


def numbers_of(folder) -> dict:
    def no_constant(name):
        raise AssertionError(name)

    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"), parse_constant=no_constant)


def reference_stats(ground_truth, predictions) -> list[float]:
    """pycocotools' twelve numbers of two files."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(ground_truth))
        evaluation = COCOeval(truth, truth.loadRes(str(predictions)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def test_the_numbers_are_pycocotools_own(run):
    _, folder = run
    stats = reference_stats(folder / "ground_truth.json", folder / "predictions.json")
    found = numbers_of(folder)["coco"]
    assert [found[key] for key in COCO_KEYS] == [
        None if value == -1 else pytest.approx(value, abs=1e-12) for value in stats
    ]
    assert found["map_50"] > 0.05  # it has learned something


def test_the_verdict_is_in_plain_words_and_fits_the_terminal(run):
    done, folder = run
    numbers = numbers_of(folder)
    point, lines = numbers["at_threshold"], done.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("On 4 images: at "))
    assert f"it finds {100 * point['recall']:.0f} % of the objects (" in lines[start]
    assert f"{100 * point['precision']:.0f} % of its boxes are right (" in lines[start]
    assert f"average recall (AR@[.50:.95]) {numbers['coco']['mar_100']:.2f}" in done.stdout
    assert "says little, with fewer than 20 objects: Mask (7), Gloves (1)" in done.stdout
    assert max(map(len, lines[start + 1 : -1])) <= 100
    assert numbers["classes"][0]["objects"] == 7 and numbers["images"] == 4 and numbers["latency_ms"]["images"] == 3
    assert numbers["weights"] == "best_model.pth" and numbers["split"] == "val"


def test_files_of_results_are_scored_alike_and_without_torch(run, place, tmp_path):
    _, folder = run
    blocked = tmp_path / "torch.py"
    blocked.write_text("raise ImportError('torch is not to be imported')")
    files = ("--predictions", folder / "predictions.json", "--ground-truth", folder / "ground_truth.json")
    done = evaluate(tmp_path, *files, "--output", "scored", "--threshold", "0.9", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    ours, theirs = numbers_of(tmp_path / "scored"), numbers_of(folder)
    assert ours["coco"] == theirs["coco"] and ours["classes"][0]["ap"] == theirs["classes"][0]["ap"]
    assert ours["threshold"] == 0.9 and "best threshold (F1): at 0." in done.stdout


def test_two_results_are_compared(run, tmp_path):
    _, folder = run
    (tmp_path / "fewer.json").write_text("[]")
    files = ("--predictions", folder / "predictions.json", "--ground-truth", folder / "ground_truth.json")
    done = evaluate(tmp_path, *files, "--against", "fewer.json", "-o", "x")
    assert done.returncode == 0, done.stderr
    comparison = numbers_of(tmp_path / "x")["comparison"]
    assert comparison["sentence"] in done.stdout.splitlines() and comparison["images"] == 4
    assert comparison["differences"]["ap"][0] == pytest.approx(-numbers_of(folder)["ap"])


def test_another_split_and_options(place):
    done = evaluate(
        place, "--weights", "best_model.pth", "--config", "shapes.yaml", "--split", "test", "--iou", "0.3", "-o", "t",
        "--min-precision", "0.999", "--device", "cpu", "--slice", "200",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    numbers = numbers_of(place / "t")
    assert numbers["images"] == 3 and numbers["iou"] == 0.3 and numbers["slice"] == 200
    assert "for a precision of 0.999: precision 0.999 cannot be promised" in done.stdout
    assert yaml.safe_load((place / "t" / "thresholds.yaml").read_text())["wanted_precision"] == 0.999
    again = evaluate(place, "--weights", "best_model.pth", "--config", "shapes.yaml", "-o", "t")
    assert again.returncode == 2 and "is there already and is never overwritten" in again.stderr


def test_a_detector_that_finds_nothing(place, tmp_path):
    torch.manual_seed(0)
    model = create_model("fasterrcnn_resnet10_fpn_small", 3, img_size=64)
    model.roi_heads.box_predictor.cls_score.bias.data[0] = 50  # all is background
    content = {"toolkit": 1, "epoch": 1, "model_name": "fasterrcnn_resnet10_fpn_small", "img_size": 64}
    classes = {"CLASSES": ["__background__", "Mask", "Gloves"]}
    save_checkpoint(tmp_path / "w.pth", content | {"config": classes, "model_state_dict": model.state_dict()})
    done = evaluate(tmp_path, "--weights", "w.pth", "--config", place / "shapes.yaml", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "On 4 images: none of its 0 boxes is right; 8 objects were to be found." in done.stdout
    assert numbers_of(tmp_path / "outputs/evaluation/res_1")["coco"]["map_50_95"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--weights nowhere.pth --config shapes.yaml", "nowhere.pth"),
        ("--weights shapes.yaml --config shapes.yaml", "shapes.yaml is text"),
        ("--weights best_model.pth --config nowhere.yaml", "nowhere.yaml: file not found"),
        ("--weights best_model.pth", "best_model.pth has no config.yaml beside it: which dataset?"),
        ("--weights best_model.pth --config other.yaml", "only the model has Gloves; only the dataset has Hat"),
        ("--weights best_model.pth --config two.yaml --split test", "two.yaml: names no test split: add TEST_DIR"),
        ("--weights best_model.pth --config empty.yaml", "no usable image for the val split"),
        ("--pretrained coco --config shapes.yaml --model fasterrcnn_resnet10_fpn_small", "no published COCO weights"),
        ("--weights best_model.pth --config shapes.yaml --device cuda:9", "cuda:9"),
        ("--predictions a.json --ground-truth b.json", "b.json: cannot be read"),
        ("--predictions a.json", "--predictions JSON and --ground-truth JSON belong together"),
        ("--predictions a.json --ground-truth b.json --weights c.pth", "leave out --weights"),
        ("", "expected one of --weights CHECKPOINT, --pretrained coco, and --predictions"),
        ("--weights best_model.pth --split all", "invalid choice: 'all'"),
        ("--weights best_model.pth --iou 1.5", "expected an overlap from 0.05 to 1"),
    ],
)
def test_mistakes_are_one_error(place, arguments, message):
    (place / "two.yaml").write_text("TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: valid\nCLASSES: [Mask, Gloves]\n")
    (place / "other.yaml").write_text("TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: valid\nCLASSES: [Mask, Hat]\n")
    (place / "nothing").mkdir(exist_ok=True)
    (place / "empty.yaml").write_text("TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: nothing\nCLASSES: [Mask, Gloves]\n")
    done = evaluate(place, *arguments.split())
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.startswith("error: ") and message in done.stderr


def test_published_weights_that_cannot_be_had(place, tmp_path):
    offline = {"https_proxy": "http://127.0.0.1:9", "TORCH_HOME": str(tmp_path)}
    done = evaluate(
        place, "--pretrained", "coco", "--config", "shapes.yaml", "--model", "fasterrcnn_resnet50_fpn", **offline
    )
    assert done.returncode == 2 and "differ in their classes: only the dataset has Mask, Gloves" in done.stderr
    path = place / "coco.yaml"
    path.write_text(
        "TRAIN_DIR_IMAGES: train\nVALID_DIR_IMAGES: valid\nCLASSES: [person, car]\nIGNORE: [Mask, Gloves]\n"
    )
    done = evaluate(
        place, "--pretrained", "coco", "--config", "coco.yaml", "--model", "fasterrcnn_resnet50_fpn", **offline
    )
    assert done.returncode == 2 and "trained weights are not at hand" in done.stderr


def test_results_of_another_dataset_are_refused(run, tmp_path):
    _, folder = run
    rows = json.loads((folder / "predictions.json").read_text())
    rows[0]["image_id"] = 7
    (tmp_path / "p.json").write_text(json.dumps(rows))
    done = evaluate(tmp_path, "--predictions", "p.json", "--ground-truth", folder / "ground_truth.json")
    assert done.returncode == 2 and "p.json: cannot be scored" in done.stderr and "Traceback" not in done.stderr
