"""train.py as its users run it: a process, a dataset on disk, and what is there afterwards."""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from models import load_model
from support import warm
from support.killing import children
from support.paths import ROOT
from support.voc_sets import write_config, write_voc_set
from torch_utils.runs.checkpoint import load_checkpoint
from utils.runs.loggers import read_metrics

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "train.py"
MODEL = "fasterrcnn_resnet10_fpn_small"
COMMON = ("--model", MODEL, "--img-size", "96", "--device", "cpu", "--amp", "off", "--batch-size", "4")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a dataset, where the commands are run."""
    folder = tmp_path_factory.mktemp("work place")
    write_voc_set(folder / "train", 12, seed=1)
    write_voc_set(folder / "test", 5, seed=2)
    write_config(folder)
    return folder


def train(folder, *arguments, config="shapes.yaml", common=COMMON, env=None):
    command = [sys.executable, SCRIPT, *common, "--config", config, *arguments]
    return warm.run(command, cwd=folder, env={**os.environ, **(env or {})})


@pytest.fixture(scope="module")
def two_epochs(workplace):
    done = train(workplace, "--epochs", "2", "--project-name", "two", "--use-train-aug")
    assert done.returncode == 0, done.stderr
    return done, workplace / "outputs" / "training" / "two"


def test_the_folder_holds_the_whole_run(two_epochs):
    _, run = two_epochs
    names = {path.name for path in run.iterdir()}
    assert names == {
        *("args.yaml", "config.yaml", "data.txt", "train.log", "metrics.jsonl", "results.csv"),
        *("train_loss_iter.png", "train_loss_epoch.png", "map.png", "lr.png", "labels.png"),
        *("loss_classifier.png", "loss_box_reg.png", "loss_objectness.png", "loss_rpn_box_reg.png"),
        *("train_batch_0.jpg", "train_batch_1.jpg", "val_labels_0.jpg", "val_pred_0.jpg"),
        *("val_ground_truth.json", "val_predictions.json"),
        *("evaluation.json", "report.html", "MODEL_CARD.md", "thresholds.yaml"),
        *("best_model.pth", "last_model.pth", "last_model_state.pth"),
    }
    for path in [*run.glob("*.png"), *run.glob("*.jpg")]:
        assert cv2.imread(str(path)).std() > 5, path.name


def test_it_says_what_it_will_do_and_what_came_of_it(two_epochs):
    done, run = two_epochs
    out = done.stdout
    assert re.search(r"torch \d+\.\d+.*torchvision", out) and "device: cpu" in out
    assert "12 images, 2 of them without objects" in out and "5 images, 1 of them without objects" in out
    assert re.search(r"Mask: \d+", out) and MODEL in out and "parameters" in out and "6 in all" in out
    assert len(re.findall(r"^ +[12]/2 ", out, re.MULTILINE)) == 2
    assert re.search(r"^  Gloves +\d +\d\.\d\d~ +\d\.\d\d~$", out, re.MULTILINE)  # too few for more digits
    assert "~ fewer than 20 objects to validate on (" in out
    assert "best_model.pth" in out
    assert "epoch" not in done.stderr  # no progress bar where nobody watches
    log = (run / "train.log").read_text()
    assert "device: cpu" in log and "best epoch" in log


def test_it_ends_with_the_verdict_on_the_best_epoch(two_epochs):
    done, run = two_epochs
    numbers = json.loads((run / "evaluation.json").read_text())
    metrics = torch.load(run / "best_model.pth", weights_only=True)["metrics"]
    expected = {key: None if metrics[f"val/{key}"] == -1 else metrics[f"val/{key}"] for key in numbers["coco"]}
    assert numbers["coco"] == expected and numbers["images"] == 5 and numbers["epoch"] == metrics["epoch"]
    stored = load_checkpoint(run / "best_model.pth").thresholds
    assert stored.thresholds.to_dict() == numbers["thresholds"] and (stored.images, stored.split) == (5, "val")
    assert re.search(r"^On 5 images: (at 0\.\d\d it finds|none of its)", done.stdout, re.MULTILINE)
    page, card = ((run / name).read_text() for name in ("report.html", "MODEL_CARD.md"))
    assert "On 5 images: " in page and "best_model.pth" in card
    for split, count in (("train", 12), ("val", 5)):  # the fingerprint of each split, and what it holds
        assert re.search(rf"<dt>{split}</dt><dd>{count} images, [0-9a-f]{{8}}</dd>", page)
    assert re.search(r"\| images +\| 12 +\| 5 +\|", card), card


def test_metrics_of_every_step_and_epoch(two_epochs):
    _, run = two_epochs
    steps, epochs = read_metrics(run / "metrics.jsonl")
    assert [record["step"] for record in steps] == [1, 2, 3, 4, 5, 6]
    assert [record["epoch"] for record in epochs] == [1, 2]
    assert {"train/loss", "train/loss_objectness", "val/map_50_95", "val/mar_large", "val/ap/Mask"} <= epochs[0].keys()
    mean = sum(record["train/loss"] for record in steps[3:]) / 3
    assert epochs[1]["train/loss"] == pytest.approx(mean)
    assert len((run / "results.csv").read_text().splitlines()) == 3


def test_the_twelve_numbers_are_pycocotools_own_on_the_written_predictions(two_epochs):
    _, run = two_epochs
    _, epochs = read_metrics(run / "metrics.jsonl")
    best = max(epochs, key=lambda record: (record["val/map_50_95"], -record["epoch"]))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(run / "val_ground_truth.json"))
        assert json.loads((run / "val_predictions.json").read_text())
        reference = COCOeval(truth, truth.loadRes(str(run / "val_predictions.json")), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    keys = "map_50_95 map_50 map_75 map_small map_medium map_large mar_1 mar_10 mar_100 mar_small mar_medium mar_large"
    assert [best[f"val/{key}"] for key in keys.split()] == pytest.approx(reference.stats.tolist(), abs=1e-12)


def test_what_inference_finds_in_the_validation_folder_belongs_to_the_run_s_ground_truth(two_epochs, workplace):
    """With one image that cannot be read before the others: the same name is the same id, in any COCO tool."""
    _, run = two_epochs
    folder = workplace / "looked at"
    shutil.copytree(workplace / "test", folder)
    (folder / "aaa.jpg").write_text("no image")
    command = [sys.executable, str(SCRIPT.with_name("inference.py")), "-d", "cpu", "-w", str(run / "best_model.pth")]
    command += ["-i", "looked at", "-o", "found", "--save", "json", "--threshold", "0.05"]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "aaa.jpg" in done.stderr
    content = json.loads((workplace / "found" / "predictions.json").read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(run / "val_ground_truth.json"))
        of_truth = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
        assert {image["file_name"]: image["id"] for image in content["images"]} == of_truth
        scores = []
        for found in (content["annotations"], json.loads((run / "val_predictions.json").read_text())):
            evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            scores.append(evaluation.stats[0])
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


def test_images_of_more_than_100_objects_raise_the_limit_and_coco_s_own_ap_stands_beside(tmp_path):
    for split, count in (("train", 2), ("test", 1)):
        (tmp_path / split).mkdir()
        for number in range(count):
            cv2.imwrite(str(tmp_path / split / f"{number}.png"), np.full((240, 320, 3), 90 + number, np.uint8))
            corners = [(10 + 20 * (i % 15), 10 + 20 * (i // 15)) for i in range(120)]
            boxes = [f"<xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + 12}</xmax><ymax>{y + 12}</ymax>" for x, y in corners]
            objects = "".join(f"<object><name>Mask</name><bndbox>{box}</bndbox></object>" for box in boxes)
            (tmp_path / split / f"{number}.xml").write_text(f"<annotation>{objects}</annotation>")
    write_config(tmp_path, classes="[Mask]")
    done = train(tmp_path, "--epochs", "1", "--project-name", "crowd")
    assert done.returncode == 0, done.stderr
    assert "detections: up to 300 of an image instead of 100 (an image of the data holds 120 objects" in done.stdout
    assert "AP: a validation image holds 120 objects of one class" in done.stdout
    assert re.search(r"AP counts 300 detections .* with COCO's own limit of 100: AP [\d.]+, AP50 [\d.]+", done.stdout)
    assert "splits of one or two images" in done.stdout
    run = tmp_path / "outputs" / "training" / "crowd"
    assert load_model(run / "best_model.pth").roi_heads.detections_per_img == 300
    _, (epoch,) = read_metrics(run / "metrics.jsonl")
    assert epoch["val/map_50_95_at_100"] <= epoch["val/map_50_95"]


def test_each_checkpoint_rebuilds_its_model(two_epochs, workplace):
    _, run = two_epochs
    for name in ("best_model.pth", "last_model.pth", "last_model_state.pth"):
        content = torch.load(run / name, weights_only=True)
        assert content["model_name"] == MODEL and content["img_size"] == 96
        assert content["config"]["CLASSES"] == ["__background__", "Mask", "Gloves"]
        model = load_model(run / name)
        assert model.img_size == 96
        assert torch.equal(
            model.state_dict()["rpn.head.cls_logits.weight"], content["model_state_dict"]["rpn.head.cls_logits.weight"]
        )
    assert yaml.safe_load((run / "args.yaml").read_text())["lr"] == 0.01


def test_best_model_scores_what_the_log_says(two_epochs, workplace):
    """The weights in best_model.pth, run again on the split as on disk, give the very numbers of that epoch."""
    from torch_utils.predictor import Predictor
    from utils.coco_eval import CocoEvaluator
    from utils.config.config import load_config
    from utils.dataset.scan import scan_split
    from utils.images.io import read_image

    _, run = two_epochs
    _, epochs = read_metrics(run / "metrics.jsonl")
    content = torch.load(run / "best_model.pth", weights_only=True)
    config = load_config(workplace / "shapes.yaml")
    scan = scan_split(config, "val", progress=False)
    evaluator = CocoEvaluator(scan.annotations, config.class_names)
    predictor = Predictor(load_model(run / "best_model.pth"), torch.device("cpu"))
    for start in (0, 4):  # in the batches of the run: padding reaches into a smaller image's border
        ids = range(start, min(start + 4, 5))
        for i, found in zip(ids, predictor([read_image(scan.annotations[i].image_path) for i in ids]), strict=True):
            evaluator.add(i, found)
    again = evaluator.compute()
    assert again["map_50_95"] == pytest.approx(epochs[content["epoch"] - 1]["val/map_50_95"], abs=1e-6)


def test_a_run_is_not_resumed_as_something_else(workplace, two_epochs):
    _, run = two_epochs
    options = ("--resume-training", "--project-name", "two", "--epochs", "3")
    for more, expected in (
        (("--optimizer", "adamw"), "--optimizer: the run has sgd, here it is adamw"),
        (("--batch-size", "2"), "processes): the run has 4, here it is 2"),
        (("--freeze-layers", "1"), "--freeze-layers: the run has 0, here it is 1"),
        (("--model", "fasterrcnn_resnet18_fpn"), "model: the run has fasterrcnn_resnet10_fpn_small"),
    ):
        done = train(workplace, *options, *more, common=())
        assert done.returncode == 2 and expected in done.stderr and "Traceback" not in done.stderr
    write_config(workplace, classes="[Mask, Boots, Gloves]", name="boots.yaml")
    done = train(workplace, *options, common=(), config="boots.yaml")
    assert done.returncode == 2 and "'Boots'" in done.stderr


def wait_for(path, seconds=300):
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists()


def test_workers_do_not_change_the_result(workplace):
    """Over two epochs, so that loader workers and the threads that evaluation started live beside each other."""
    for name, workers in (("alone", "0"), ("shared", "2")):
        done = train(workplace, "--epochs", "2", "--project-name", name, "--workers", workers, "--use-train-aug")
        assert done.returncode == 0, done.stderr
    states = [
        torch.load(workplace / "outputs/training" / name / "last_model.pth", weights_only=True)["model_state_dict"]
        for name in ("alone", "shared")
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_start_from_a_checkpoint_of_other_classes(workplace, two_epochs):
    _, run = two_epochs
    write_config(workplace, classes="[Gloves, Mask]", name="other.yaml")
    done = train(
        workplace, "--epochs", "1", "--weights", str(run / "best_model.pth"), common=COMMON[2:], config="other.yaml"
    )
    assert done.returncode == 0, done.stderr
    assert "class layers kept: Gloves, Mask" in done.stdout
    assert "frozen, parameters and batch statistics: conv1, bn1, layer1" in done.stdout
    assert (workplace / "outputs/training/res_1/best_model.pth").is_file()
    content = torch.load(workplace / "outputs/training/res_1/best_model.pth", weights_only=True)
    assert "backbone.body.bn1.num_batches_tracked" not in content["model_state_dict"]


def test_a_run_is_never_overwritten_unasked(workplace, two_epochs):
    _, run = two_epochs
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    done = train(workplace, "--epochs", "1", "--project-name", "two")
    assert done.returncode == 2
    assert "--exist-ok" in done.stderr and "--resume-training" in done.stderr and "Traceback" not in done.stderr
    assert before == {path.name: path.stat().st_mtime_ns for path in run.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--config", "nowhere.yaml"), "nowhere.yaml"),
        (("--model", "fasterrcnn_resnet50"), "fasterrcnn_resnet50_fpn"),
        (("--weights", "best_model.pth"), "best_model.pth: no such file"),
        (("--resume-training",), "--resume-training takes --project-name"),
        (("--resume-training", "--project-name", "none"), "last_model.pth: no such file"),
        (("--device", "cuda:77"), "cuda:77"),
        (("--epochs", "0"), "from 1 on"),
        (("--project-name", "../out"), "'../out'"),
        (("--pretrained", "imagenet"), "no ImageNet weights"),
        (("--freeze-layers", "9"), "0 to 5"),
        (("--backbone-weights", "nothing.pth"), "nothing.pth: no such file"),
    ],
)
def test_mistakes_are_reported_without_a_traceback(workplace, arguments, expected):
    done = train(workplace, *arguments)
    assert done.returncode == 2
    assert expected in done.stderr and "Traceback" not in done.stderr
    assert not (workplace / "outputs" / "training" / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--model", "fasterrcnn_resnet18"), "unknown model 'fasterrcnn_resnet18'. Did you mean"),
        (("--weights", "nothing.pth"), "nothing.pth: no such file"),
        (("--backbone-weights", "nothing.pth"), "nothing.pth: no such file"),
        (("--freeze-layers", "9"), "0 to 5"),
        (("--pretrained", "coco"), "no COCO weights"),
    ],
)
def test_a_wrong_model_or_weights_are_found_before_the_data_is_read(workplace, arguments, expected):
    done = train(workplace, *arguments, config="nowhere.yaml")
    assert done.returncode == 2 and expected in done.stderr and "nowhere.yaml" not in done.stderr


def test_a_usage_error_is_one_line(workplace):
    done = train(workplace, "--epochs", "none")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == (
        "error: argument -e/--epochs: expected a whole number from 1 on, got 'none' "
        "(train.py --help lists the arguments)\n"
    )


def test_the_command_at_the_end_of_a_training_works_as_printed(two_epochs, workplace):
    done, _ = two_epochs
    (command,) = re.findall(r"^detect objects with it: \S+ (.*)$", done.stdout, re.MULTILINE)
    script, *arguments = shlex.split(command)
    detected = warm.run([sys.executable, ROOT / script, *arguments, "--output", "typed", "-d", "cpu"], cwd=workplace)
    assert detected.returncode == 0, detected.stderr
    assert len(list((workplace / "typed").glob("*.jpg"))) == 5


def test_bad_data_is_reported_at_once_and_can_be_skipped(tmp_path):
    write_voc_set(tmp_path / "train", 6, seed=1)
    write_voc_set(tmp_path / "test", 3, seed=2)
    write_config(tmp_path)
    (tmp_path / "train" / "image 0.xml").write_text("<annotation><object>")
    (tmp_path / "train" / "image 1.jpg").write_bytes(b"no image")
    xml = tmp_path / "test" / "image 2.xml"
    xml.write_text(xml.read_text().replace("Gloves", "gloves").replace("Mask", "gloves"))
    done = train(tmp_path, "--epochs", "1")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for name in ("image 0.xml", "image 1.jpg", "image 2.xml", "did you mean 'Gloves'", "--skip-bad"):
        assert name in done.stderr
    assert not (tmp_path / "outputs").exists()
    skipped = train(tmp_path, "--epochs", "1", "--skip-bad", "--no-mosaic", "--cosine-annealing")
    assert skipped.returncode == 0, skipped.stderr
    assert "4 images" in skipped.stdout
    for kind in ("images", "annotations"):
        assert f"left out: {kind} that cannot be read: 1" in skipped.stdout


@pytest.mark.parametrize("workers", ("0", "2"))
def test_a_file_that_changes_while_training_is_named_and_the_process_ends(tmp_path, workers):
    """With loader workers, too, whose errors and whose end are matters of their own."""
    write_voc_set(tmp_path / "train", 6, seed=1)
    write_voc_set(tmp_path / "test", 2, seed=2)
    write_config(tmp_path)
    command = [sys.executable, str(SCRIPT), *COMMON, "--config", "shapes.yaml", "--epochs", "500", "--workers", workers]
    process = warm.start([*command, "-pn", "cut"], cwd=tmp_path)
    wait_for(tmp_path / "outputs/training/cut/last_model.pth")
    cv2.imwrite(str(tmp_path / "train" / "image 1.jpg"), np.zeros((5, 5, 3), np.uint8))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in err, err
    assert re.search(r"^error: .*image 1\.jpg: has changed since the start", err, re.MULTILINE)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")
def test_a_loader_process_that_is_killed_is_reported_and_the_process_ends(workplace):
    """As the system does where memory runs out."""
    command = [sys.executable, str(SCRIPT), *COMMON, "--config", "shapes.yaml", "--epochs", "500", "--workers", "1"]
    process = warm.start([*command, "-pn", "bereft"], cwd=workplace)
    run = workplace / "outputs/training/bereft"
    wait_for(run / "last_model.pth")
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in err, err
    assert "killed by signal" in err and "fewer --workers" in err
    assert "error: DataLoader worker" in (run / "train.log").read_text()


def test_one_image_and_one_class_is_an_ordinary_case(tmp_path):
    write_voc_set(tmp_path / "train", 1, seed=1)
    write_voc_set(tmp_path / "test", 1, seed=1)
    for path in tmp_path.glob("*/*.xml"):
        path.write_text(path.read_text().replace("Gloves", "Mask"))
    write_config(tmp_path, classes="[Mask]")
    done = train(tmp_path, "--epochs", "1", "/")
    assert done.returncode == 0, done.stderr
    assert "'/' at the end of the command is ignored" in done.stderr


def test_offline_without_weights_names_the_file_and_the_way_out(workplace, tmp_path):
    env = {"TORCH_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    done = train(workplace, "--model", "fasterrcnn_resnet50_fpn_v2", env=env)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth" in done.stderr and "--pretrained none" in done.stderr


def test_help_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = [{str(SCRIPT)!r}, '--help']; {code}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=SCRIPT.parent,
    )
    assert done.returncode == 0 and "--use-train-aug" in done.stdout
