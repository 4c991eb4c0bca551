"""inference.py as its users run it: a process, images on disk, and what is there afterwards."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from models import create_model
from support import warm
from support.paths import ROOT
from support.reading import read_voc
from torch_utils.predictor import Predictor
from torch_utils.runs.checkpoint import save_checkpoint
from utils.formats.coco.ids import image_ids
from utils.images.io import read_image

SCRIPT = ROOT / "inference.py"
SMALL = "fasterrcnn_resnet10_fpn_small"
CLASSES = ("__background__", "Mask", "Gloves")
LOW = ("--threshold", "0.25")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A detector with random weights: what it finds means nothing, but is the same each time."""
    path = tmp_path_factory.mktemp("weights") / "best_model.pth"
    torch.manual_seed(3)
    model = create_model(SMALL, len(CLASSES), pretrained="none")
    content = {"toolkit": 1, "epoch": 1, "model_name": SMALL, "img_size": 96, "config": {"CLASSES": list(CLASSES)}}
    save_checkpoint(path, content | {"model_state_dict": model.state_dict()})
    return path


def drawn_image(seed, height=90, width=120, channels=3):
    rng = np.random.default_rng(seed)
    image = np.full((height, width, channels), 90, np.uint8)
    for _ in range(4):
        x, y = int(rng.integers(0, width - 20)), int(rng.integers(0, height - 20))
        image[y : y + 30, x : x + 40] = rng.integers(0, 255, channels)
    return image


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of every kind, a damaged one, and a file that is none."""
    folder = tmp_path_factory.mktemp("my images")
    (folder / "sub").mkdir()
    cv2.imwrite(str(folder / "a.jpg"), drawn_image(1))
    cv2.imwrite(str(folder / "a.png"), drawn_image(2, 64, 200))
    cv2.imwrite(str(folder / "sub" / "a.jpg"), drawn_image(3))
    cv2.imwrite(str(folder / "grey.png"), drawn_image(4, channels=1))
    cv2.imwrite(str(folder / "rgba.png"), drawn_image(5, channels=4))
    cv2.imwrite(str(folder / "deep.tif"), drawn_image(6).astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "map.pgm"), drawn_image(7, channels=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be shown upright: 90 wide and 120 high
    Image.fromarray(drawn_image(8)).save(folder / "turned.jpg", exif=exif)
    whole = cv2.imencode(".jpg", drawn_image(9))[1].tobytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no image")
    return folder


def infer(cwd, *arguments, env=None):
    headless = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return warm.run([sys.executable, SCRIPT, "--device", "cpu", *arguments], cwd=cwd, env=headless | (env or {}))


@pytest.fixture(scope="module")
def run(folder, weights, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("cwd")
    arguments = ("--weights", weights, "--input", folder, *LOW, "--batch-size", "3")
    done = infer(cwd, *arguments, "--save", "json", "csv", "voc", "crops")
    return done, cwd / "outputs" / "inference" / "res_1"


READABLE = ["a.jpg", "a.png", "deep.tif", "grey.png", "map.pgm", "rgba.png", "sub/a.jpg", "turned.jpg"]


def id_of(name):
    return image_ids([name])[0]


def test_every_image_has_its_result_under_its_own_name(run, folder):
    _, out = run
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    found = {name for name in found if not name.startswith(("voc/", "crops/", "predictions."))}
    assert found == {name if name != "map.pgm" else "map.pgm.png" for name in READABLE}
    for name in READABLE:
        drawn, plain = read_image(out / name.replace(".pgm", ".pgm.png")), read_image(folder / name)
        assert drawn.shape == plain.shape and (np.abs(drawn.astype(int) - plain) > 60).any(), name
    assert read_image(out / "turned.jpg").shape == (120, 90, 3)


def test_the_damaged_one_is_named_and_the_exit_status_says_so(run):
    done, _ = run
    assert done.returncode == 1
    assert re.search(r"skipped: .*cut\.jpg: cannot be decoded", done.stderr)
    assert "1 of 9 images were skipped (see above)" in done.stderr and "Traceback" not in done.stderr
    assert "it/s" not in done.stderr and "image/s" not in done.stderr  # no progress bar where nobody watches


def test_json_and_csv_are_the_predictor_s_own_boxes(run, folder, weights):
    from models import load_model

    _, out = run
    content = json.loads((out / "predictions.json").read_text())
    assert [image["file_name"] for image in content["images"]] == READABLE
    assert [(image["width"], image["height"]) for image in content["images"]][-1] == (90, 120)
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(content["annotations"]) > 8
    predictor = Predictor(load_model(weights), torch.device("cpu"))
    predictor.model.roi_heads.score_thresh = 0.05
    for name in READABLE:  # one by one, what the run did in threes
        (found,) = predictor([read_image(folder / name)])
        found = found.above(0.25)
        mine = [a for a in content["annotations"] if a["image_id"] == id_of(name)]
        boxes = np.array([a["bbox"] for a in mine]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert np.allclose(boxes, found.boxes, atol=5e-3), name
        assert np.allclose([a["score"] for a in mine], found.scores, atol=1e-4)
        assert [row["class"] for row in rows if row["image"] == name] == [CLASSES[i] for i in found.labels]


def test_what_is_found_does_not_depend_on_the_batch_size(weights, tmp_path):
    """Both orientations and a third shape in turn: each image as it is found alone, in the order of the names."""
    (tmp_path / "mixed").mkdir()
    sizes = [(90, 120), (120, 90), (64, 200), (90, 120)]
    names = [f"{number}.png" for number in range(11)]
    for number, name in enumerate(names):
        cv2.imwrite(str(tmp_path / "mixed" / name), drawn_image(number, *sizes[number % 4]))
    contents = []
    for size in (1, 4, 16):
        done = infer(
            tmp_path, "-w", weights, "-i", "mixed", *LOW, "--save", "json", "-o", f"by{size}", "--batch-size", size
        )
        assert done.returncode == 0, done.stderr
        contents.append(json.loads((tmp_path / f"by{size}" / "predictions.json").read_text()))
    alone, *together = contents
    assert [image["file_name"] for image in alone["images"]] == names and len(alone["annotations"]) > 20
    for content in together:
        assert content["images"] == alone["images"]
        assert [a["image_id"] for a in content["annotations"]] == [a["image_id"] for a in alone["annotations"]]
        for mine, its in zip(content["annotations"], alone["annotations"], strict=True):
            assert mine["category_id"] == its["category_id"] and mine["score"] == pytest.approx(its["score"], abs=1e-4)
            assert mine["bbox"] == pytest.approx(its["bbox"], abs=1e-2)


def test_a_dark_image_of_sixteen_bits_is_reported_or_stretched(weights, tmp_path):
    shown = drawn_image(6)
    cv2.imwrite(str(tmp_path / "dark.png"), shown.astype(np.uint16) * 16)  # twelve bits of sixteen
    cv2.imwrite(str(tmp_path / "plain.png"), shown)
    content = torch.load(weights, weights_only=True)
    save_checkpoint(tmp_path / "ranged.pth", content | {"config": content["config"] | {"PIXEL_RANGE": [0, 4080]}})
    outputs = []
    for name in (weights, tmp_path / "ranged.pth"):
        done = infer(tmp_path, "-w", name, "-i", "*.png", "-o", f"out{len(outputs)}", *LOW, "--save", "json")
        assert done.returncode == 0, done.stderr
        outputs.append((done.stdout, json.loads((tmp_path / f"out{len(outputs)}" / "predictions.json").read_text())))
    (reported, _), (quiet, content) = outputs
    assert re.search(r"note: dark\.png: used are the values .*`PIXEL_RANGE: \[0, 4095\]`; the checkpoint", reported)
    assert "PIXEL_RANGE" not in quiet
    boxes = {
        i: [a["bbox"] for a in content["annotations"] if a["image_id"] == id_of(i)] for i in ("dark.png", "plain.png")
    }
    assert boxes["dark.png"] == boxes["plain.png"] != []


def test_the_annotations_can_be_trained_on(run, folder, tmp_path):
    _, out = run
    for name in ("deep.tif", "grey.png", "rgba.png", "turned.jpg"):
        shutil.copy(folder / name, tmp_path / name)
        shutil.copy(out / "voc" / Path(name).with_suffix(".xml"), tmp_path)
    scan = read_voc(tmp_path, tmp_path, CLASSES, progress=False)
    assert len(scan.annotations) == 4 and not scan.findings
    content = json.loads((out / "predictions.json").read_text())
    for annotation in scan.annotations:
        image_id = id_of(annotation.image_path.name)
        boxes = np.array([a["bbox"] for a in content["annotations"] if a["image_id"] == image_id]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert np.abs(annotation.boxes - boxes).max(initial=0) <= 1
    assert {path.name for path in (out / "voc").iterdir()} >= {"a.jpg.xml", "a.png.xml"}  # one stem, two images


def test_each_object_is_cut_out(run):
    _, out = run
    annotations = json.loads((out / "predictions.json").read_text())["annotations"]
    crops = [path for path in (out / "crops").rglob("*") if path.is_file()]
    assert len(crops) == len(annotations)
    assert {path.relative_to(out / "crops").parts[0] for path in crops} == {
        CLASSES[a["category_id"]] for a in annotations
    }


def test_the_summary(run):
    done, out = run
    annotations = json.loads((out / "predictions.json").read_text())["annotations"]
    assert re.search(r"^8 images, [\d.]+ ms per image in the network \(median\)$", done.stdout, re.MULTILINE)
    assert f"{len(annotations)} detections of 0.25 or more: " in done.stdout
    for label in {a["category_id"] for a in annotations}:
        count = sum(a["category_id"] == label for a in annotations)
        assert f"{CLASSES[label]} {count}" in done.stdout
    assert "results: outputs/inference/res_1: annotated images, predictions.json, predictions.csv, voc/" in done.stdout
    assert "2 images share their stem" in done.stdout


def test_a_second_run_has_its_own_folder_and_classes_are_chosen(run, folder, weights):
    _, out = run
    before = (out / "predictions.json").read_bytes()
    arguments = ("--weights", weights, "--input", folder, *LOW, "--batch-size", "3", "--classes", "gloves", "-nlb")
    done = infer(out.parents[2], *arguments, "--save", "json", "/")
    assert done.returncode == 1, done.stderr
    chosen = json.loads((out.parent / "res_2" / "predictions.json").read_text())["annotations"]
    expected = [a for a in json.loads(before)["annotations"] if a["category_id"] == 2]
    assert [(a["image_id"], a["bbox"]) for a in chosen] == [(a["image_id"], a["bbox"]) for a in expected]
    assert 0 < len(expected) < len(json.loads(before)["annotations"])
    assert (out / "predictions.json").read_bytes() == before


def test_windows_without_a_display_end_in_files(folder, weights, tmp_path):
    arguments = (
        "--weights",
        weights,
        "--input",
        folder / "a.*g",
        "--output",
        tmp_path / "o",
        "--show-image",
        "--mpl-show",
    )
    done = infer(tmp_path, *arguments, *LOW)
    assert done.returncode == 0, done.stderr
    assert "no window: there is no display" in done.stdout and "--mpl-show: matplotlib has no window" in done.stdout
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["a.jpg", "a.png"]


def test_a_large_image_in_windows(weights, tmp_path):
    cv2.imwrite(str(tmp_path / "large.png"), np.tile(drawn_image(1), (4, 4, 1)))
    common = ("--weights", weights, "--input", "large.png", *LOW, "--save", "json")
    plain = infer(tmp_path, *common, "-o", "plain")
    sliced = infer(tmp_path, *common, "-o", "sliced", "--slice", "120", "--overlap", "0.3")
    assert plain.returncode == sliced.returncode == 0, plain.stderr + sliced.stderr
    found = [json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("plain", "sliced")]
    assert (
        found[0]["images"]
        == found[1]["images"]
        == [{"id": id_of("large.png"), "file_name": "large.png", "width": 480, "height": 360}]
    )
    assert found[0]["annotations"] != found[1]["annotations"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input", "nothing here"), "nothing here: no such file or folder"),
        (("--input", "images", "--classes", "Hat"), "unknown 'Hat'; the classes are: 1 Mask, 2 Gloves"),
        (("--input", "images", "-o", "images"), "a.jpg is there already and is never overwritten"),
        (("--input", "images", "-o", "full", "--save", "csv"), "predictions.csv is there already"),
        (("--input", "images", "-o", "images/a.jpg"), "cannot be made"),
        (("--input", "images", "--weights", "none.pth"), "none.pth"),
    ],
)
def test_errors_come_first_and_leave_nothing(folder, weights, tmp_path, arguments, message):
    (tmp_path / "images").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "predictions.csv").write_text("mine")
    shutil.copy(folder / "a.jpg", tmp_path / "images")
    before = sorted(tmp_path.rglob("*"))
    done = infer(tmp_path, "--weights", weights, *arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and message in done.stderr
    assert "Traceback" not in done.stderr and sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "full" / "predictions.csv").read_text() == "mine"


def test_a_huge_image(weights, tmp_path):
    huge = np.full((6000, 9000, 3), 90, np.uint8)
    huge[1500:4500, 2000:7000] = (30, 200, 60)
    cv2.imwrite(str(tmp_path / "huge.jpg"), huge)
    done = infer(tmp_path, "--weights", weights, "--input", "huge.jpg", *LOW, "--save", "csv", "-o", "out")
    assert done.returncode == 0, done.stderr
    drawn = read_image(tmp_path / "out" / "huge.jpg")
    assert drawn.shape == (6000, 9000, 3) and (np.abs(drawn[::50, ::50].astype(int) - huge[::50, ::50]) > 60).any()
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        sides = [float(row["x2"]) for row in csv.DictReader(file)]
    assert 2000 < max(sides) <= 12000  # in pixels of the image, not of what the network saw


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no UTF-8")
def test_a_file_name_that_is_no_utf8(folder, weights, tmp_path):
    shutil.copy(folder / "a.jpg", os.fsencode(tmp_path) + b"/gr\xfcn.jpg")
    arguments = ("--weights", weights, "--input", tmp_path, *LOW, "--save", "json", "csv", "voc")
    done = infer(tmp_path, *arguments, "-o", "out", env={"LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, done.stderr
    assert b"gr\xfcn.jpg" in os.listdir(os.fsencode(tmp_path / "out"))  # noqa: PTH208
    name = json.loads((tmp_path / "out" / "predictions.json").read_text())["images"][0]["file_name"]
    assert os.fsencode(name) == b"gr\xfcn.jpg"  # the file's own
    assert (tmp_path / "out" / "predictions.csv").read_text().splitlines()[1].startswith(r"gr\udcfcn.jpg,")
    (path,) = (tmp_path / "out" / "voc").iterdir()
    assert ElementTree.parse(path).findtext("filename") == r"gr\udcfcn.jpg" and path.stem == "gr\udcfcn"
    assert r"note: gr\udcfcn.jpg: not UTF-8" in done.stdout and "<filename> in the XML and the CSV" in done.stdout


def test_a_folder_of_the_user_s_stays_and_one_made_here_does_not(folder, weights, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("mine", "made"):
        done = infer(tmp_path, "--weights", weights, "--input", folder / "cut.jpg", "--output", name)
        assert done.returncode == 1, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_only_damaged_images(folder, weights, tmp_path):
    done = infer(tmp_path, "--weights", weights, "--input", folder / "cut.jpg", "--save", "json")
    assert done.returncode == 1 and "nothing was written" in done.stdout
    assert not list((tmp_path / "outputs" / "inference").iterdir())


def test_help_needs_no_torch():
    code = (
        "import runpy, sys\n"
        "sys.modules['torch'] = None\n"
        "sys.argv = ['inference.py', '--help']\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--slice" in done.stdout, done.stderr
