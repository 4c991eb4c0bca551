"""The examples of CONTRIBUTING.md, followed as they are printed: what is added works everywhere by its row alone."""

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from models import create_model, list_models
from support.paths import ROOT
from support.voc_sets import write_config, write_voc_set
from utils.annotations.annotation import Annotation
from utils.augment.augmentations import AUGMENTATIONS
from utils.augment.sample import Sample
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits
from utils.dataset.writer import write_dataset
from utils.detections import Detections
from utils.discovery.discover import discover
from utils.inference.sinks import create_sink
from utils.inference.sinks.sink import ImageResult
from utils.runs.loggers import LOGGERS


@pytest.fixture
def add(monkeypatch):
    """Follow a section: load its new module, or add to the one that is there, and add the row to its table."""

    def follow(heading: str) -> None:
        text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        added: dict = {}
        for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
            path, _, table = re.fullmatch(r"# (\S+\.py)(:.* row of (\w+))?", code.splitlines()[0]).groups()
            name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            if table:
                module = import_module(name)
                for key, value in eval(f"{{{code}}}", vars(module) | added).items():
                    assert key not in getattr(module, table)
                    monkeypatch.setitem(getattr(module, table), key, value)
                continue
            if not (ROOT / path).exists():
                monkeypatch.setitem(sys.modules, name, ModuleType(name))
            module = sys.modules.get(name) or import_module(name)
            names = dict(vars(module))
            exec(compile(code, path, "exec"), names)
            added = {key: value for key, value in names.items() if key not in vars(module)}
            for key, value in added.items():
                monkeypatch.setattr(module, key, value, raising=False)

    return follow


def test_a_model(add):
    add("Add a model")
    assert "fasterrcnn_resnext50_fpn" in list_models()
    model = create_model("fasterrcnn_resnext50_fpn", num_classes=3, img_size=64)
    assert model.roi_heads.box_predictor.cls_score.out_features == 3 and model.img_size == 64


def test_a_format_goes_there_and_back(add, tmp_path):
    add("Add an annotation format")
    write_voc_set(tmp_path / "train", 5, seed=1)
    write_voc_set(tmp_path / "test", 5, seed=2)
    config = load_config(write_config(tmp_path))
    scans = scan_splits(config, progress=False)
    annotations = {name: scan.annotations for name, scan in scans.items()}
    path = write_dataset(tmp_path / "lines", annotations, config.class_names, "lines")
    read = scan_splits(load_config(path), progress=False)
    raise_for_errors(read)
    for name, scan in read.items():
        assert objects(scan.annotations) == objects(annotations[name])
    found = discover(tmp_path / "lines")
    assert found.annotation_format == "lines" and set(found.classes.names) == {
        config.class_names[label] for part in annotations.values() for a in part for label in a.labels
    }
    (tmp_path / "lines/train/image 0.boxes").write_text("Mask 1 2 3")
    (finding,) = [f for f in scan_splits(load_config(path), progress=False)["train"].findings if "line 1" in f.text]
    assert "expected a class and 4 numbers, found 'Mask 1 2 3'" in finding.text


def objects(annotations: list[Annotation]) -> list:
    return [(a.image_path.stem, a.labels.tolist(), a.boxes.tolist()) for a in annotations]


def test_an_augmentation(add):
    add("Add an augmentation")
    ((share, transform),) = AUGMENTATIONS["solarize"].load()
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    sample = transform(Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64)), np.random.default_rng(0))
    assert 0 < share < 1 and sample.image.dtype == np.uint8 and sample.image[-1, -1, 0] == 0


def test_a_metric_sink(add, tmp_path):
    add("Add a metric sink")
    logger = LOGGERS["latest"](tmp_path)
    logger.steps([{"step": 1}])
    logger.epoch({"epoch": 2, "val/map_50_95": np.float32(0.5), "val/loss": np.nan})
    logger.close()
    assert json.loads((tmp_path / "latest.json").read_text()) == {"epoch": 2, "val/map_50_95": 0.5, "val/loss": None}


def test_a_kind_of_result(add, tmp_path):
    add("Add a kind of result")
    sink = create_sink("counts", {Path("a.jpg"): Path("a.jpg")})
    found = Detections(np.zeros((2, 4), np.float32), np.ones(2, np.float32), np.ones(2, np.int64))
    result = ImageResult(path=Path("a.jpg"), name=Path("a.jpg"), width=8, height=8, detections=found)
    sink.write_table(tmp_path, [result], ("__background__", "Mask"))
    assert (tmp_path / sink.planned()[0]).read_text() == "a.jpg: 2\n"
