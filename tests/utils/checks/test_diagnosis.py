"""Each check finds its fault, and nothing else, in a dataset that has that fault alone."""

import re
from pathlib import Path

import numpy as np
import pytest

from models.registry import model_spec
from support.clean_sets import (
    boxes_of,
    write_clean_set,
    write_labels,
    write_pair,
)
from support.paths import SHARED
from support.spoiled_sets import FAULTS, same_file, same_twice
from utils.annotations.findings import CHECKS, ERROR, NOTE
from utils.checks.boxes import SAME_BOX, same_boxes
from utils.checks.diagnosis import diagnose
from utils.config.config import load_config
from utils.dataset.scan import raise_for_errors, scan_splits

MODEL = "fasterrcnn_resnet50_fpn_v2"


def diagnosis_of(yaml: Path, **more):
    config = load_config(yaml)
    model = more.pop("model", MODEL)
    more = {"img_size": model_spec(model).img_size} | more
    return diagnose(config, scan_splits(config, progress=False), model=model, anchors=model_spec(model).anchors, **more)


def found_in(diagnosis):
    return [(split, finding) for split, findings in diagnosis.findings.items() for finding in findings]


def test_every_check_has_its_fault():
    assert {check for _, check, *_ in FAULTS} == set(CHECKS)


def test_the_clean_set_is_clean(tmp_path):
    diagnosis = diagnosis_of(write_clean_set(tmp_path))
    assert found_in(diagnosis) == []
    assert diagnosis.by_check() == {} and diagnosis.count(ERROR) == diagnosis.count(NOTE) == 0
    train = diagnosis.statistics["train"]
    assert (train.images, train.negatives, train.objects, train.unreached) == (6, 0, 12, 0.0)


@pytest.mark.parametrize(
    ("spoil", "check", "severity", "split", "text"),
    FAULTS,
    ids=[f"{check}-{n}" for n, (_, check, *_) in enumerate(FAULTS)],
)
def test_one_fault_is_one_finding(tmp_path, monkeypatch, spoil, check, severity, split, text):
    yaml = write_clean_set(tmp_path)
    spoil(tmp_path)
    if (tmp_path / "elsewhere").is_dir():
        monkeypatch.chdir(tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    diagnosis = diagnosis_of(yaml)
    assert [(of_split, finding.check) for of_split, finding in found_in(diagnosis)] == [(split, check)]
    ((_, finding),) = found_in(diagnosis)
    assert re.search(text, finding.text), finding.text
    assert finding.severity == severity and diagnosis.count(severity) == 1
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == before
    assert (finding.image is None or finding.image.name in [path.name for path in before]) and finding.text[0] != " "


def test_a_image_of_both_splits_stops_no_training(tmp_path):
    yaml = write_clean_set(tmp_path)
    same_file(tmp_path)
    scans = scan_splits(load_config(yaml), progress=False)
    raise_for_errors(scans)
    assert not scans["train"].findings and not scans["val"].findings


def test_copies_with_other_boxes_are_reported(tmp_path):
    yaml = write_clean_set(tmp_path)
    same_twice(tmp_path)
    write_labels(tmp_path / "train", "a9", boxes_of(4)[:1])
    ((_, finding),) = found_in(diagnosis_of(yaml))
    assert finding.text == "a4.jpg, a9.jpg are one and the same image; their boxes differ"
    assert (finding.image.name, finding.other.name) == ("a4.jpg", "a9.jpg")


def test_a_validation_split_without_objects(tmp_path):
    yaml = write_clean_set(tmp_path)
    for number in range(4):
        write_labels(tmp_path / "test", f"b{number}", [])
    ((split, finding),) = found_in(diagnosis_of(yaml))
    assert (split, finding.check) == ("val", "class-not-validated") and "AP is undefined" in finding.text


def test_the_advice_on_the_size_is_what_that_size_gives(tmp_path):
    yaml = write_clean_set(tmp_path)
    objects = [
        ("Mask", (20 + 40 * (n % 8), 20 + 60 * (n // 8), 31 + 40 * (n % 8), 31 + 60 * (n // 8))) for n in range(32)
    ]
    write_labels(tmp_path / "train", "a1", objects)
    ((_, finding),) = found_in(diagnosis_of(yaml, img_size=320))
    assert finding.check == "unreached"
    size, left = re.search(r"--img-size (\d+) leaves ([\d.]+)%$", finding.text).groups()
    at_that_size = diagnosis_of(yaml, img_size=int(size))
    assert found_in(at_that_size) == []
    assert at_that_size.statistics["train"].unreached == pytest.approx(float(left) / 100, abs=6e-4)


def test_objects_that_are_too_large_get_a_smaller_size(tmp_path):
    yaml = write_clean_set(tmp_path)
    for number in range(14):
        write_pair(tmp_path / "train", f"c{number}", 303 + 3 * number, [("Gloves", (10, 10, 390, 290))])
    ((_, finding),) = found_in(diagnosis_of(yaml, img_size=1333))
    assert finding.check == "unreached"
    # 640 is the largest that does: the largest anchor is a square of 512, and 512 / 2.13 / 326 = 0.74 is above 0.71.
    assert re.search(r"half of them measure 14\d\d px or less there; --img-size 640 leaves 0\.0%$", finding.text)


def test_a_class_that_no_anchor_reaches_is_reported_where_the_others_hide_it(tmp_path):
    yaml = write_clean_set(tmp_path)
    for number in range(12):  # 144 good boxes, 10 narrow ones of the other class
        grid = [(10 + 95 * (n % 4), 5 + 98 * (n // 4)) for n in range(12)]
        write_pair(tmp_path / "train", f"c{number}", 300 + number, [("Mask", (x, y, x + 80, y + 90)) for x, y in grid])
    narrow = [("Gloves", (10, 10 + 26 * n, 390, 19 + 26 * n)) for n in range(10)]
    write_labels(tmp_path / "train", "a1", narrow)
    found = [finding for _, finding in found_in(diagnosis_of(yaml)) if finding.check == "unreached"]
    assert len(found) == 1 and found[0].text.startswith("83% of the Gloves boxes (10 of 12)"), found
    assert "no --img-size brings it to 10%" in found[0].text


def brute_force(boxes, groups):
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    shared = np.clip(np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2]), 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return (shared / (areas[:, None] + areas - shared) >= SAME_BOX) & (groups[:, None] == groups)


@pytest.mark.parametrize("seed", range(5))
def test_same_boxes_are_those_of_the_table_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    low, groups = rng.random((300, 2)) * 100, rng.integers(0, 3, 300)
    boxes = np.concatenate([low, low + 20 + rng.random((300, 2)) * 30], axis=1)
    for copy in range(200, 300):  # near copies, also of copies
        boxes[copy] = boxes[copy - 150] + rng.uniform(-0.8, 0.8, 4)
        groups[copy] = groups[copy - 150]
    table = brute_force(boxes, groups)
    found = same_boxes(boxes, groups)
    assert len(found) > 50 and len({index for index, _ in found}) == len(found)
    assert all(table[pair] and pair[0] != pair[1] for pair in found)
    # What is left after one of each pair has gone has no pairs.
    left = np.setdiff1d(np.arange(300), [index for index, _ in found])
    assert table[np.ix_(left, left)].sum() == len(left)


def test_a_pile_of_boxes_is_reported_once_each():
    boxes = np.tile([[5.0, 5.0, 50.0, 60.0]], (3000, 1))
    assert len(same_boxes(boxes, np.zeros(3000, int))) == 2999
    assert same_boxes(np.zeros((0, 4)), np.zeros(0, int)) == []


def test_statistics(tmp_path):
    yaml = write_clean_set(tmp_path)
    write_labels(tmp_path / "train", "a1", [])
    statistics = diagnosis_of(yaml, img_size=300).statistics["train"]  # at the images' own size
    sides = [np.sqrt((b[2] - b[0]) * (b[3] - b[1])) for n in (0, 2, 3, 4, 5) for _, b in boxes_of(n)]
    edges, counts = np.array(statistics.box_sides.edges), np.array(statistics.box_sides.counts)
    assert [counts[i] for i in range(len(counts))] == [
        sum((sides >= edges[i]) & (sides < edges[i + 1])) for i in range(len(counts))
    ]
    assert statistics.negatives == 1 and statistics.objects == 10 and statistics.image_sizes == {"400x300": 6}
    assert statistics.objects_of_class == {"Mask": 8, "Gloves": 2}
    assert statistics.images_of_class == {"Mask": 5, "Gloves": 2}
    assert statistics.objects_per_image.edges == (0, 1, 2, 3) and statistics.objects_per_image.counts == (1, 0, 5)
    for histogram in (statistics.box_aspects, statistics.anchor_ious):
        assert sum(histogram.counts) == 10


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared datasets are not there")
def test_real_data(tmp_path):
    capybara = tmp_path / "capybara.yaml"
    folders = "\n".join(
        f"{split}_DIR_IMAGES: {SHARED}/capybara/{name}" for split, name in (("TRAIN", "train"), ("VALID", "test"))
    )
    capybara.write_text(f"{folders}\nCLASSES: [capivara]\n")
    found = diagnosis_of(capybara).by_check()
    assert list(found) == ["like-within"] and len(found["like-within"]) == 3  # looked at: they are copies

    bccd, lines = tmp_path / "bccd.yaml", ["CLASSES: [RBC, WBC, Platelets]"]
    for split, name in (("TRAIN", "train"), ("VALID", "val")):
        lines += [f"{split}_DIR_IMAGES: {SHARED}/bccd/JPEGImages", f"{split}_DIR_LABELS: {SHARED}/bccd/Annotations"]
        lines += [f"{split}_LIST: {SHARED}/bccd/ImageSets/Main/{name}.txt"]
    bccd.write_text("\n".join(lines))
    found = diagnosis_of(bccd).by_check()
    assert {check: len(pairs) for check, pairs in found.items()} == {
        "like-in-both": 1,
        "box-dropped": 2,
        "box-twice": 6,
    }
    ((_, finding),) = found["like-in-both"]
    assert (finding.image.stem, finding.other.stem) == ("BloodImage_00037", "BloodImage_00038")
