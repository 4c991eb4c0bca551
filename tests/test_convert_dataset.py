"""A dataset in another format and back: the same boxes to the last bit of a float32, and the same training."""

import os
import shutil
import sys

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import warm
from support.paths import ROOT
from support.voc_files import CLASSES, element, write_image, xml
from support.voc_sets import write_config, write_voc_set
from utils.annotations.annotation import Annotation
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.dataset.writer import write_dataset
from utils.errors import ToolkitError
from utils.formats.formats import FORMATS

DATA = ROOT.parent / "shared" / "data"


def run(*args, cwd, status=0):
    env = os.environ | ({"PYTHONPATH": str(ROOT)} if args[0] == "-m" else {})
    done = warm.run([sys.executable, *args], cwd=cwd, env=env)
    assert done.returncode == status, done.stderr
    return done


def contents(scans):
    """Everything of the splits but where the images lie."""
    return {
        split: [
            (a.image_path.name, a.width, a.height, a.boxes.tolist(), a.labels.tolist(), a.difficult.tolist())
            for a in scan.annotations
        ]
        for split, scan in scans.items()
    }


sides = st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    boxes=st.lists(st.tuples(sides, sides, st.integers(1, 2), st.booleans()), max_size=5),
    format_name=st.sampled_from(sorted(FORMATS)),
)
def test_any_boxes_come_back(tmp_path_factory, boxes, format_name):
    folder = tmp_path_factory.mktemp("set")
    write_image(folder / "a.jpg", (613, 411))
    corners = np.array([[*sorted(x), *sorted(y)] for x, y, *_ in boxes], np.float32).reshape(-1, 4)[:, [0, 2, 1, 3]]
    corners *= np.float32([613, 411, 613, 411])
    kept = (corners[:, 2:] - corners[:, :2] > 1e-3).all(axis=1)
    labels, difficult = (np.array([row[i] for row in boxes], dtype) for i, dtype in ((2, np.int64), (3, np.bool_)))
    original = Annotation(folder / "a.jpg", 613, 411, corners[kept], labels[kept], difficult[kept])
    path = write_dataset(folder / "new", {"train": [original], "val": []}, CLASSES, format_name, progress=False)
    scan = scan_splits(load_config(path), progress=False)["train"]
    (back,) = scan.annotations
    if format_name == "yolo":  # four quotients: exact but for a last bit
        np.testing.assert_allclose(back.boxes, original.boxes, rtol=2e-7, atol=1e-6)
    else:
        np.testing.assert_array_equal(back.boxes, original.boxes)
        np.testing.assert_array_equal(back.difficult, original.difficult)
    np.testing.assert_array_equal(back.labels, original.labels)
    assert (folder / "new").joinpath(yaml.safe_load(path.read_text())["TRAIN_DIR_IMAGES"], "a.jpg").read_bytes() == (
        folder / "a.jpg"
    ).read_bytes()


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """The same drawn dataset in VOC, and converted from it to COCO, from that to YOLO, and from that back to VOC."""
    folder = tmp_path_factory.mktemp("sets")
    write_voc_set(folder / "voc" / "train", 12, seed=1)
    write_voc_set(folder / "voc" / "test", 6, seed=2)
    config = write_config(folder / "voc")
    for to in ("coco", "yolo", "voc"):
        name = f"{to}_again" if to == "voc" else to
        done = run(ROOT / "convert_dataset.py", "--config", config, "--to", to, "-o", name, cwd=folder)
        config = folder / name / "dataset.yaml"
        assert done.stdout == f"12 train, 6 val images in {to} format; train with: python train.py --config " + (
            f"{name}/dataset.yaml\n"
        )
    return folder


def test_a_round_trip_through_all_formats(sets):
    configs = [sets / "voc" / "shapes.yaml", *(sets / name / "dataset.yaml" for name in ("coco", "yolo", "voc_again"))]
    configs.append(sets / "yolo" / "data.yaml")
    scans = [scan_splits(load_config(config), progress=False) for config in configs]
    assert all(not scan.findings for splits in scans for scan in splits.values())
    first = contents(scans[0])
    assert len(first["train"]) == 12 and sum(len(row[3]) for row in first["train"]) > 10
    for splits in scans[1:]:
        assert contents(splits) == first


def test_equal_data_in_three_formats_trains_to_equal_numbers(sets):
    tables = []
    for config in (sets / "voc" / "shapes.yaml", sets / "coco" / "dataset.yaml", sets / "yolo" / "dataset.yaml"):
        name = config.parent.name
        run(ROOT / "train.py", "--config", config, "--model", "fasterrcnn_resnet10_fpn_small", "--epochs", "1",
            "--img-size", "96", "--project-name", name, "--use-train-aug", cwd=sets)  # fmt: skip
        table = (sets / "outputs" / "training" / name / "results.csv").read_text().splitlines()
        header = table[0].split(",")
        rows = [dict(zip(header, line.split(","), strict=True)) for line in table[1:]]
        tables.append([{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows])
    assert len(tables[0]) == 1 and float(tables[0][0]["train/loss"]) > 0
    assert tables[0] == tables[1] == tables[2]


def test_nothing_is_overwritten_and_faults_stop_it(sets, tmp_path):
    config = sets / "voc" / "shapes.yaml"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    done = run(ROOT / "convert_dataset.py", "-c", config, "--to", "coco", "-o", "full", cwd=tmp_path, status=2)
    assert "full is not empty" in done.stderr and [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]
    write_image(tmp_path / "train" / "a.jpg")
    (tmp_path / "train" / "a.xml").write_text(xml(element("Hat")))
    (tmp_path / "test").mkdir()
    bad = write_config(tmp_path)
    done = run(ROOT / "convert_dataset.py", "-c", bad, "--to", "coco", "-o", "new", cwd=tmp_path, status=2)
    assert "unknown class 'Hat'" in done.stderr and not (tmp_path / "new").exists()


def test_what_yolo_cannot_say_is_reported(tmp_path):
    for folder in ("train", "test"):
        write_image(tmp_path / folder / "a.jpg")
        (tmp_path / folder / "a.xml").write_text(xml(element(extra="<difficult>1</difficult>")))
    done = run(ROOT / "convert_dataset.py", "-c", write_config(tmp_path), "--to", "yolo", "-o", "new", cwd=tmp_path)
    assert "2 objects are difficult, which YOLO's format cannot say" in done.stderr


def test_one_folder_is_divided(sets, tmp_path):
    (tmp_path / "one.yaml").write_text(f"TRAIN_DIR_IMAGES: {sets / 'voc' / 'train'}\nCLASSES: [Mask, Gloves]\n")
    run(ROOT / "convert_dataset.py", "-c", "one.yaml", "--split", "0.25", "--to", "voc", "-o", "new", cwd=tmp_path)
    found = contents(scan_splits(load_config(tmp_path / "new" / "dataset.yaml"), progress=False))
    assert [len(found["train"]), len(found["val"])] == [9, 3]
    whole = contents(scan_splits(load_config(sets / "voc" / "shapes.yaml"), progress=False))["train"]
    assert sorted(found["train"] + found["val"]) == sorted(whole)


def test_images_of_one_name_in_two_folders_both_arrive(tmp_path):
    parts = []
    for folder in ("a", "b"):
        write_image(tmp_path / folder / "1.jpg", (20 if folder == "a" else 30, 20))
        image = tmp_path / folder / "1.jpg"
        parts.append(Annotation(image, 20 if folder == "a" else 30, 20, np.float32([[0, 0, 5, 5]]), np.int64([1]),
                                np.zeros(1, bool)))  # fmt: skip
    path = write_dataset(tmp_path / "new", {"train": parts, "val": parts[:1]}, CLASSES, "yolo", progress=False)
    found = contents(scan_splits(load_config(path), progress=False))
    assert [(row[0], row[1]) for row in found["train"]] == [("1.jpg", 20), ("1.jpg", 30)]


@pytest.mark.skipif(shutil.disk_usage(ROOT).free > 1 << 43, reason="more room than a file with a hole can claim")
def test_a_copy_is_refused_where_the_disk_has_no_room(tmp_path):
    write_image(tmp_path / "a.jpg")
    with (tmp_path / "a.jpg").open("ab") as file:
        file.truncate(1 << 43)  # a file with a hole
    annotation = Annotation(tmp_path / "a.jpg", 4, 4, np.zeros((0, 4), np.float32), np.int64([]), np.zeros(0, bool))
    with pytest.raises(ToolkitError, match="the images take 8388608 MiB, the disk has "):
        write_dataset(tmp_path / "new", {"train": [annotation]}, CLASSES, "voc", progress=False)


@pytest.mark.skipif(not (DATA / "bccd").is_dir(), reason="the BCCD dataset is not here")
def test_bccd_through_all_formats(tmp_path):
    folder = DATA / "bccd"
    (tmp_path / "bccd.yaml").write_text(
        f"TRAIN_DIR_IMAGES: {folder / 'JPEGImages'}\nTRAIN_DIR_LABELS: {folder / 'Annotations'}\n"
        f"TRAIN_LIST: {folder / 'ImageSets/Main/test.txt'}\nVALID_DIR_IMAGES: {folder / 'JPEGImages'}\n"
        f"VALID_DIR_LABELS: {folder / 'Annotations'}\nVALID_LIST: {folder / 'ImageSets/Main/val.txt'}\n"
        "CLASSES: [RBC, WBC, Platelets]\n"
    )
    scans = scan_splits(load_config(tmp_path / "bccd.yaml"), progress=False)
    first = contents(scans)
    assert [len(first["train"]), len(first["val"])] == [72, 87]
    for format_name in FORMATS:
        annotations = {split: scan.annotations for split, scan in scans.items()}
        classes = ("__background__", "RBC", "WBC", "Platelets")
        path = write_dataset(tmp_path / format_name, annotations, classes, format_name, progress=False)
        assert contents(scan_splits(load_config(path), progress=False)) == first
