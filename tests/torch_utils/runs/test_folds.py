"""Cross-validation by train.main: each image is judged once, by a model that did not learn it."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from support.voc_sets import write_config, write_voc_set
from torch_utils.runs.folds import train_folds
from train import main
from utils.cli.settings import TrainSettings
from utils.cli.train_args import training_settings
from utils.errors import ConfigError, ToolkitError
from utils.runs.read_data import read_data, read_whole_data

RUNS = Path("outputs/training")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_voc_set(tmp_path / "train", 6, seed=1)
    write_voc_set(tmp_path / "test", 3, seed=2)
    write_config(tmp_path)


def settings_of(name, **more):
    values = {"config": "shapes.yaml", "model": "fasterrcnn_resnet10_fpn_small", "img_size": 64, "epochs": 1}
    return TrainSettings(**values | {"device": "cpu", "amp": "off", "project_name": name, "folds": 3} | more)


def names_of(annotations):
    return [annotation.image_path for annotation in annotations]


def test_every_image_is_judged_once_by_a_model_that_did_not_learn_it(capsys):
    parts = [read_data(settings_of("cv", fold=number)).annotations for number in (1, 2, 3)]
    held_out = [name for part in parts for name in names_of(part["val"])]
    assert len(held_out) == len(set(held_out)) == 9
    assert all(not set(names_of(part["val"])) & set(names_of(part["train"])) for part in parts)
    assert all(len(part["val"]) + len(part["train"]) == 9 for part in parts)

    assert main(settings_of("cv")) == 0
    truth = json.loads((RUNS / "cv/out_of_fold_ground_truth.json").read_text())
    found = json.loads((RUNS / "cv/out_of_fold_predictions.json").read_text())
    assert len(truth["images"]) == 9
    assert {result["image_id"] for result in found} <= {image["id"] for image in truth["images"]}
    of_folds = [json.loads((RUNS / f"cv/fold_{n}/val_predictions.json").read_text()) for n in (1, 2, 3)]
    assert sorted(r["score"] for r in found) == pytest.approx(sorted(r["score"] for part in of_folds for r in part))
    header, *_ = csv.reader((RUNS / "cv/label_errors.csv").open())
    assert header[:5] == ["file", "object", "class", "kind", "score"]
    assert "all 9 images, each by the model that did not learn it: AP 0." in capsys.readouterr().out
    assert yaml.safe_load((RUNS / "cv/fold_2/args.yaml").read_text())["fold"] == 2
    with pytest.raises(ToolkitError, match=r"cv/fold_1 holds .* --exist-ok starts over"):
        main(settings_of("cv"))


def test_a_stopped_cross_validation_resumes_with_the_fold_that_it_was_in(capsys):
    trained = []

    def train(settings):
        trained.append((settings.fold, settings.resume_training))
        return 130 if len(trained) == 2 else main(settings)

    assert train_folds(settings_of("cut"), train, read_whole_data) == 130
    assert "train.py --project-name cut --resume-training" in capsys.readouterr().out
    assert not (RUNS / "cut/out_of_fold_predictions.json").exists()
    resumed = training_settings(["--resume-training", "--project-name", "cut"])
    assert resumed.folds == 3 and resumed.epochs == 1
    assert train_folds(resumed, train, read_whole_data) == 0
    assert trained == [(1, False), (2, False), (2, False), (3, False)]
    assert (RUNS / "cut/out_of_fold_predictions.json").exists()


def test_more_folds_than_images_are_refused_before_anything_is_trained():
    with pytest.raises(ConfigError, match="--folds 10: expected as many groups of images, found 9: give fewer folds"):
        main(settings_of("many", folds=10))
    assert not list(RUNS.glob("many/fold_*/*.pth"))


@pytest.mark.parametrize("folds", [1, -2])
def test_a_single_fold_is_no_cross_validation(folds):
    with pytest.raises(ConfigError, match="--folds: expected 2 or more parts"):
        settings_of("one", folds=folds)
