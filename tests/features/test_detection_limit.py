"""The most detections of an image: as the data needs it, kept in the checkpoint, used by inference, reported."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from models import create_model, load_model
from models.predictors import load_predictor
from models.training_model import resume_model, start_model
from support.small_models import CLASSES, SMALL, checkpoint_of, resumed_settings
from torch_utils.predictor import Predictor
from torch_utils.runs.checkpoint import load_checkpoint
from torch_utils.runs.saver import save_weights
from torch_utils.slicing import SlicedPredictor
from utils.annotations.annotation import Annotation
from utils.cli.settings import TrainSettings
from utils.config.dataset_config import DatasetConfig
from utils.errors import ConfigError
from utils.metrics import limit_report, most_objects, needed_detections
from utils.runs.best_epoch import BestEpoch

CPU = torch.device("cpu")
LOG = logging.getLogger("test")


def split_of(*counts):
    made = []
    for number, count in enumerate(counts):
        boxes = np.tile(np.float32([[1, 1, 9, 9]]), (count, 1))
        made.append(Annotation(Path(f"{number}.jpg"), 640, 480, boxes, np.ones(count, np.int64), np.zeros(count, bool)))
    return made


@pytest.mark.parametrize(
    ("most", "needed"), [(0, 100), (50, 100), (51, 200), (100, 200), (150, 300), (151, 400), (1200, 2400)]
)
def test_what_the_data_needs(most, needed):
    assert most_objects({"train": split_of(3, most), "val": split_of(1)}) == max(most, 3)
    assert most_objects({"train": split_of(3), "val": split_of(most)}) == max(most, 3)
    assert needed_detections(most) == needed


def test_the_log_says_so():
    assert limit_report(100, 40, of_a_class=40) == []
    (raised,) = limit_report(300, 150, of_a_class=80)
    assert "up to 300 of an image instead of 100 (an image of the data holds 150 objects" in raised
    (_, beside) = limit_report(300, 150, of_a_class=150)
    assert "a validation image holds 150 objects of one class" in beside and "COCO's own AP counts 100" in beside
    (low, *_) = limit_report(50, 150, of_a_class=0)
    assert "the others cannot be found; --max-detections 300 would do" in low


@pytest.mark.parametrize("name", [SMALL, "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_a_model_gives_more_than_its_usual_detections_and_proposals(name):
    torch.manual_seed(0)
    model = create_model(name, 2, img_size=96, max_detections=260).eval()
    model.roi_heads.score_thresh, model.roi_heads.nms_thresh, model.rpn.nms_thresh = 0.0, 1.0, 1.0
    model.rpn.score_thresh = 0.0
    model.rpn.pre_nms_top_n()
    (found,) = Predictor(model, CPU)([np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)])
    assert len(found) == 260
    usual = create_model(name, 2)
    assert usual.max_detections == usual.roi_heads.detections_per_img == 100
    assert usual.rpn._post_nms_top_n["testing"] in (150, 200)  # as published


def settings_of(**more):
    return TrainSettings(config="x.yaml", model=SMALL, pretrained="none", **more)


def config(tmp_path):
    return DatasetConfig(Path("x.yaml"), *[tmp_path] * 4, CLASSES)


def test_a_run_keeps_its_limit_in_the_checkpoint_for_inference_and_the_next_run(tmp_path):
    model, settings = start_model(settings_of(img_size=96), config(tmp_path), LOG, needed=300)
    assert settings.max_detections == model.max_detections == model.roi_heads.detections_per_img == 300
    path = tmp_path / "best_model.pth"
    save_weights(path, settings, config(tmp_path), model, BestEpoch({"epoch": 1}))
    assert load_checkpoint(path).max_detections == 300
    predictor, _ = load_predictor(path, CPU)
    assert predictor.max_detections == 300 and predictor.model.rpn._post_nms_top_n["testing"] == 300
    assert load_predictor(path, CPU, max_detections=50)[0].max_detections == 50
    model, _ = start_model(settings_of(weights=path), config(tmp_path), LOG, needed=100)
    assert model.max_detections == 300  # not fewer than before
    by_hand = settings_of(img_size=96, max_detections=120)
    assert start_model(by_hand, config(tmp_path), LOG, needed=300)[0].max_detections == 120


def test_a_resumed_run_has_the_limit_it_began_with(tmp_path):
    checkpoint = checkpoint_of(tmp_path, max_detections=300)
    model, settings = resume_model(resumed_settings(), config(tmp_path), checkpoint)
    assert settings.max_detections == model.max_detections == 300
    with pytest.raises(ConfigError, match="--max-detections: the run has 300, here it is 200"):
        resume_model(
            resumed_settings(max_detections=200), config(tmp_path), load_checkpoint(tmp_path / "last_model.pth")
        )


def test_checkpoints_without_a_limit_resume_as_they_were(tmp_path):
    checkpoint = checkpoint_of(tmp_path)
    assert checkpoint.max_detections is None and load_model(checkpoint).max_detections == 100
    model, settings = resume_model(resumed_settings(), config(tmp_path), checkpoint)
    assert model.max_detections == settings.max_detections == 100
    with pytest.raises(ConfigError, match="--max-detections: the run has 100, here it is 300"):
        resume_model(resumed_settings(max_detections=300), config(tmp_path), checkpoint)


def test_images_that_reach_the_limit_are_counted():
    torch.manual_seed(0)
    model = create_model(SMALL, 2, img_size=96, max_detections=10).eval()
    model.roi_heads.score_thresh = 0.0
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    low, high = Predictor(model, CPU), Predictor(model, CPU, threshold=0.99)
    for predictor in (low, high):
        predictor([image, image])
    assert (low.capped, high.capped) == (2, 0)  # what is under the threshold is nobody's loss
    sliced = SlicedPredictor(Predictor(model, CPU), 80, 0.2)
    sliced([image])
    assert sliced.capped > 1 and sliced.max_detections == 10
