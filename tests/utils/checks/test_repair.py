"""The repaired copy of a dataset full of faults: what is fixed, what is left out, and that the original stays."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from models.registry import DEFAULT_MODEL, anchors_of
from support.paths import ROOT
from support.voc_files import element, xml
from support.voc_sets import write_config, write_voc_set
from utils.checks.diagnosis import diagnose
from utils.checks.repair import repair
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.errors import DatasetError, ToolkitError


def image(path, seed, orientation=1):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
    tags = Image.Exif()
    tags[0x0112] = orientation
    small.resize((160, 120), Image.Resampling.BICUBIC).save(path, quality=90, exif=tags)


@pytest.fixture
def folder(tmp_path):
    """Sound data, and beside it one of each fault that reading or comparing finds."""
    write_voc_set(tmp_path / "train", 6, seed=1)
    write_voc_set(tmp_path / "test", 4, seed=2)
    faults = {
        "case": xml(element("mask", (20, 20, 60, 60)), element("GLOVES", (70, 20, 110, 60))),
        "clipped": xml(element("Mask", (-10, 20, 60, 60))),
        "empty": xml(element("Mask", (20, 20, 60, 60)), element("Mask", (70, 30, 70, 60))),
        "twice": xml(element("Mask", (20, 20, 60, 60)), element("Mask", (20, 20, 60, 61))),
        "other class": xml(element("Mask", (20, 20, 60, 60)), element("Gloves", (20, 20, 60, 60))),
        "bare": xml(element("Mask", (60, 20, 20, 60))),
        "turned": xml(element("Mask", (20, 30, 60, 80)), size=(160, 120)),
        "stranger": xml(element("Hat", (20, 20, 60, 60))),
        "broken": "<annotation>",
        "unreadable": xml(element("Mask", (20, 20, 60, 60))),
        "orphan": xml(element("Mask", (20, 20, 60, 60))),
    }
    for seed, (name, text) in enumerate(faults.items(), 100):
        (tmp_path / "train" / f"{name}.xml").write_text(text)
        if name != "orphan":
            image(tmp_path / "train" / f"{name}.jpg", seed, 6 if name == "turned" else 1)
    image(tmp_path / "train" / "unlabelled.jpg", 200)
    (tmp_path / "train" / "unreadable.jpg").write_bytes(b"no image")
    for name, source in (("leak", "test/image 0"), ("copy", "train/image 1"), ("differing", "train/image 3")):
        for suffix in (".jpg", ".xml"):
            (tmp_path / "train" / f"{name}{suffix}").write_bytes((tmp_path / f"{source}{suffix}").read_bytes())
    (tmp_path / "train" / "differing.xml").write_text(xml(element("Mask", (1, 1, 30, 30))))
    return tmp_path


def tree(folder):
    return {
        str(path.relative_to(folder)): (hashlib.sha1(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_copy_has_what_can_be_repaired_and_the_original_stays(folder, tmp_path):
    config = load_config(write_config(folder))
    before = tree(folder)
    done = subprocess.run(
        [sys.executable, ROOT / "check_dataset.py", "-c", config.path, "-o", tmp_path / "report", "--fix-to",
         tmp_path / "repaired"], capture_output=True, text=True, timeout=200, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    after = tree(folder)
    assert {name: after[name] for name in before} == before

    lines = (tmp_path / "repaired" / "repairs.txt").read_text().splitlines()
    assert [line for line in lines if line in done.stdout.splitlines()] == lines
    for expected in (
        "renamed: GLOVES to Gloves",
        "renamed: mask to Mask",
        "train: fixed: clipped.xml: object 1 (Mask): box (-10, 20, 60, 60) reaches out of the 160x120 image",
        "train: left out: empty.xml: object 2 (Mask): box (70, 30, 70, 60) is empty",
        "train: fixed: twice.jpg: 1 boxes that were there twice",
        "train: left out: leak.jpg is the same file as image 0.jpg in the val split",
        "train: left out: image 1.jpg is the same file as copy.jpg in the train split",
        "train: left out: unlabelled.jpg",
        "train: left out: orphan.xml",
        "train: left out: bare.jpg: none of its 1 boxes can be used",
    ):
        assert expected in lines
    for part in ("stranger.xml: object 1: unknown class 'Hat'", "broken.xml: not well-formed", "unreadable.jpg: "):
        assert sum(part in line and "left out" in line for line in lines) == 1, part

    repaired = load_config(tmp_path / "repaired" / "dataset.yaml")
    assert repaired.annotation_format == "voc" and repaired.class_names == config.class_names
    scans = scan_splits(repaired, progress=False)
    assert [finding for scan in scans.values() for finding in scan.findings] == []
    of = {a.image_path.stem: a for a in scans["train"].annotations}
    assert len(scans["val"].annotations) == 4 and not of.keys() & {"leak", "stranger", "broken", "unreadable", "bare"}
    assert of["case"].labels.tolist() == [1, 2] and of["clipped"].boxes.tolist() == [[0, 20, 60, 60]]
    assert of["empty"].boxes.tolist() == of["twice"].boxes.tolist() == [[20, 20, 60, 60]]
    assert of["other class"].labels.tolist() == [1, 2]  # which is right, only a person can tell
    assert (of["turned"].width, of["turned"].height) == (120, 160)
    assert of["turned"].boxes.tolist() == [[40, 20, 90, 60]]
    assert {"copy", "differing", "image 3"} <= of.keys() and "image 1" not in of
    found = diagnose(repaired, scans, model=DEFAULT_MODEL, anchors=anchors_of(DEFAULT_MODEL), img_size=640).by_check()
    assert not found.keys() & {"same-in-both", "box-twice", "unknown-class", "unlabelled", "orphaned"}


@pytest.mark.parametrize("format_name", ["coco", "yolo"])
def test_a_copy_in_its_own_format(folder, tmp_path, format_name):
    from utils.dataset.writer import write_dataset

    config = load_config(write_config(folder))
    sound = {split: scan.annotations for split, scan in scan_splits(config, progress=False).items()}
    other = load_config(write_dataset(tmp_path / "other", sound, config.class_names, format_name, progress=False))
    lines = repair(other, scan_splits(other, progress=False), tmp_path / "repaired", progress=False)
    assert "train: fixed: twice.jpg: 1 boxes that were there twice" in lines
    assert load_config(tmp_path / "repaired" / "dataset.yaml").annotation_format == format_name


def test_a_sound_dataset_has_nothing_to_fix(tmp_path):
    write_voc_set(tmp_path / "train", 3, seed=1)
    write_voc_set(tmp_path / "test", 3, seed=2)
    config = load_config(write_config(tmp_path))
    scans = scan_splits(config, progress=False)
    assert repair(config, scans, tmp_path / "repaired", progress=False) == [
        f"the repaired copy: {tmp_path / 'repaired' / 'dataset.yaml'}"
    ]
    with pytest.raises(ToolkitError, match="is not empty"):
        repair(config, scans, tmp_path / "repaired", progress=False)


def test_no_copy_where_nothing_is_left(tmp_path):
    write_voc_set(tmp_path / "train", 2, seed=1)
    write_voc_set(tmp_path / "test", 2, seed=1)
    config = load_config(write_config(tmp_path))
    with pytest.raises(DatasetError, match="nothing is left of the train split"):
        repair(config, scan_splits(config, progress=False), tmp_path / "repaired", progress=False)
    assert not (tmp_path / "repaired").exists()
