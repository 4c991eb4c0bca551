"""check_dataset.py --weights as a process: label_errors.csv, a corrected copy, and nothing of the user's changed."""

import csv
import os
import subprocess
import sys

import pytest
import torch

from models import create_model
from support.paths import ROOT
from support.voc_sets import write_config, write_voc_set
from torch_utils.runs.checkpoint import save_checkpoint

SMALL = "fasterrcnn_resnet10_fpn_small"


@pytest.fixture
def place(tmp_path):
    write_voc_set(tmp_path / "train", 6, seed=1)
    write_voc_set(tmp_path / "test", 3, seed=2)
    write_config(tmp_path)
    torch.manual_seed(3)
    for name, classes in (("model", ["__background__", "Mask", "Gloves"]), ("other", ["__background__", "Cat", "Dog"])):
        content = {"toolkit": 1, "epoch": 1, "model_name": SMALL, "img_size": 96, "config": {"CLASSES": classes}}
        model = create_model(SMALL, 3, pretrained="none")
        save_checkpoint(tmp_path / f"{name}.pth", content | {"model_state_dict": model.state_dict()})
    return tmp_path


def check(*words, cwd):
    command = [sys.executable, str(ROOT / "check_dataset.py"), "--config", "shapes.yaml", "--model", SMALL, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_labels_that_a_model_contradicts_are_listed_and_a_corrected_copy_is_written(place):
    before = {path: path.read_bytes() for path in [*place.glob("train/*"), *place.glob("test/*")]}
    done = check("--weights", "model.pth", "--save", "voc", "--output", "out", cwd=place)
    assert done.returncode in (0, 1), done.stderr
    assert "written: out/label_errors.csv" in done.stdout and "train.py --folds 5" in done.stdout
    rows = list(csv.DictReader((place / "out/label_errors.csv").open()))
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
    assert (place / "out/corrected/dataset.yaml").is_file()
    assert (
        len(list((place / "out/corrected").rglob("*.xml"))) == 9 == len(list((place / "out/corrected").rglob("*.jpg")))
    )
    assert {path: path.read_bytes() for path in before} == before
    again = check("--weights", "model.pth", "--save", "voc", "--output", "out", cwd=place)
    assert again.returncode == 2 and "out/corrected is there already and is never overwritten" in again.stderr


def test_a_model_of_other_classes_is_refused_by_name(place):
    done = check("--weights", "other.pth", "--output", "out", cwd=place)
    assert done.returncode == 2
    assert "other.pth: its classes are Cat, Dog, those of the dataset Mask, Gloves" in done.stderr
    assert "Traceback" not in done.stderr


def test_save_needs_a_model(place):
    done = check("--save", "voc", cwd=place)
    assert done.returncode == 2 and "--save voc writes what a model suggests: give --weights CHECKPOINT" in done.stderr
