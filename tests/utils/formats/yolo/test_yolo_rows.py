"""Rows of YOLO's text files: boxes, boxes with keypoints, scores or track numbers, polygons; or an error."""

import math
import random
import re

import numpy as np
import pytest
import yaml

from support.reading import read_yolo
from support.voc_files import CLASSES, write_image
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.errors import ConfigError

BOX = [256, 192, 384, 288]  # of 640x480: 0.5 0.5 0.2 0.2
BIRD = "0 0.1 0.2 0.5 0.1 0.3 0.9"


@pytest.fixture
def read(tmp_path):
    """Write texts beside images of 640x480; return the Scan."""

    def scan(*texts, **options):
        for number, text in enumerate(texts):
            write_image(tmp_path / "set" / f"a{number}.jpg", (640, 480))
            (tmp_path / "set" / f"a{number}.txt").write_text(text)
        return read_yolo(tmp_path / "set", tmp_path / "set", CLASSES, progress=False, **options)

    return scan


def boxes(scan):
    assert scan.errors == [], [f.text for f in scan.errors]
    return np.concatenate([a.boxes for a in scan.annotations])


def format_findings(scan):
    return [f.text.partition(": ")[2] for f in scan.of("row-extras")]


@pytest.mark.parametrize(
    ("row", "extra"),
    [
        ("0 0.5 0.5 0.2 0.2 0.45 0.48", "keypoints"),  # one keypoint
        ("0 0.5 0.5 0.2 0.2 0.45 0.48 2", "keypoints"),  # which is seen
        ("0 0.5 0.5 0.2 0.2 0.45 0.48 1 0.55 0.48 2 0 0 0", "keypoints"),
        ("0 0.5 0.5 0.2 0.2 0.41 0.42 0.59 0.41 0.58 0.59 0.44 0.52 0.5 0.43", "keypoints"),
        ("0 0.5 0.5 0.2 0.2 0.4 0.4 0.6 0.6", "keypoints"),  # the box is the one around its points
        ("0 0.5 0.5 0.2 0.2 0.9", "a score"),
        ("0 0.5 0.5 0.2 0.2 7", "a score"),
        ("0 0.5 0.5 0.2 0.2 0.9 7", "a score"),  # and a track number
        ("0 0.5 0.5 0.2 0.2 1.0000001 3", "keypoints"),
    ],
)
def test_what_follows_a_box_is_no_polygon_and_is_reported(read, row, extra):
    if row.endswith("0001 3"):  # a score beyond 1, and no keypoint either
        assert "expected shares of the image" in read(row).errors[0].text
        return
    scan = read(row)
    np.testing.assert_allclose(boxes(scan), [BOX], atol=1e-3)
    assert format_findings(scan) == [f"1 row taken for a box and {extra}, such as a0.txt, line 1"]


def test_a_score_before_the_box_is_an_error(read):
    text = read("0 0.8674 0.227 0.895 0.262 0.058").errors[0].text  # class, score, centre, width, height
    assert "is the first a score?" in text and "a0.txt: line 1" in text
    assert not read("0 0.95 0.5 0.2 0.2 0.9").errors  # a box that reaches out, and its score


@pytest.mark.parametrize(
    ("row", "box"),
    [
        (BIRD, [64, 48, 320, 432]),
        ("0 0.25 0.25 0.26 0.25 0.255 0.27", [160, 120, 166.4, 129.6]),  # small, and a large box might be there
        ("0 0.4 0.4 0.6 0.4 0.6 0.6 0.4 0.6", [256, 192, 384, 288]),  # an oriented box
        ("0 0.5 0.4 0.6 0.5 0.5 0.6 0.4 0.5", [256, 192, 384, 288]),
        ("0 0.5 0.4 0.6 0.45 0.6 0.55 0.5 0.6 0.4 0.55 0.4 0.45", [256, 192, 384, 288]),
        ("0 0.4 0.4 0.6 0.4 0.6 0.6 0.4 0.6 0.93", [256, 192, 384, 288]),  # with a score
        ("0 0.7 0.7 1.0000001 0.7 0.9 1", [448, 336, 640, 480]),
    ],
)
def test_a_polygon_becomes_the_box_around_it(read, row, box):
    np.testing.assert_allclose(boxes(read(row)), [box], atol=1e-3)


UNCLEAR = "0 0.4 0.4 0.6 0.4 0.5 0.6"  # a triangle, or a box of 0.6x0.4 with a keypoint in it


def test_what_is_unclear_is_an_error_that_names_the_row_and_the_way_out(read):
    (error,) = read(f"0 0.5 0.5 0.2 0.2\n{UNCLEAR}").errors
    assert error.check == "annotation-unreadable" and "a0.txt: line 2: 6 numbers after the class" in error.text
    assert "KPT_SHAPE: [1, 2] for a box with keypoints, KPT_SHAPE: [0, 0] for polygons" in error.text
    np.testing.assert_allclose(boxes(read(UNCLEAR, kpt_shape=(1, 2))), [[64, 96, 448, 288]], atol=1e-3)
    np.testing.assert_allclose(boxes(read(UNCLEAR, kpt_shape=(0, 0))), [[256, 192, 384, 288]], atol=1e-3)


def test_the_other_rows_of_the_split_tell(read):
    scan = read(UNCLEAR, "0 0.5 0.5 0.1 0.2 0.47 0.48\n0 0.3 0.7 0.1 0.1 0.32 0.71")
    np.testing.assert_allclose(boxes(scan)[0], [64, 96, 448, 288], atol=1e-3)
    scan = read(UNCLEAR, BIRD + "\n0 0.8 0.8 0.85 0.8 0.9 0.9\n")
    np.testing.assert_allclose(boxes(scan)[0], [256, 192, 384, 288], atol=1e-3)


@pytest.mark.parametrize("row", ["0 0.5 0.5 0.2 0.2 320 240", "0 300 200 310 220 280 260", "0 0.9 0.9 1.5 0.8 0.7 0.7"])
def test_numbers_above_one_are_no_corners(read, row):
    (error,) = read(row).errors
    assert "a0.txt: line 1: expected shares of the image from 0 to 1, found" in error.text


def test_numbers_above_one_among_polygons_are_errors(read):
    (error,) = read(BIRD, "0 0.1 0.2 1.5 0.1 0.3 0.9").errors
    assert "a1.txt: line 1" in error.text


def drawn(kind, rng, count):
    """Rows of a kind with their boxes, (x1, y1, x2, y2) in shares."""
    rows = []
    for _ in range(count):
        w, h = rng.uniform(0.04, 0.6), rng.uniform(0.04, 0.6)
        x, y = rng.uniform(w / 2, 1 - w / 2), rng.uniform(h / 2, 1 - h / 2)
        inside = [(x + w * rng.uniform(-0.45, 0.45), y + h * rng.uniform(-0.45, 0.45)) for _ in range(kind[1])]
        if kind[0] == "points":
            values = [x, y, w, h, *(v for point in inside for v in point)]
            box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        elif kind[0] == "seen":
            values = [x, y, w, h, *(v for point in inside for v in (*point, rng.choice((0, 1, 2))))]
            box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        else:
            corners = kind[1] or rng.randint(3, 12)
            angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(corners))
            points = [(x + w / 2 * math.cos(a), y + h / 2 * math.sin(a)) for a in angles]
            values, (xs, ys) = [v for point in points for v in point], zip(*points, strict=True)
            box = min(xs), min(ys), max(xs), max(ys)
        rows.append(("0 " + " ".join(f"{v:.6f}" for v in values), box))
    return rows


@pytest.mark.parametrize(
    "kind",
    [("points", 1), ("points", 2), ("points", 5), ("points", 17), ("seen", 1), ("seen", 2), ("seen", 17),
     ("polygon", 3), ("polygon", 4), ("polygon", 6), ("polygon", 40), ("polygon", 0)],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_every_box_of_a_drawn_set_is_right(read, kind, seed):
    rows = drawn(kind, random.Random(f"{kind} {seed}"), 40)
    scan = read(*("\n".join(row for row, _ in rows[start : start + 4]) for start in range(0, 40, 4)))
    wanted = np.array([box for _, box in rows]) * [640, 480, 640, 480]
    np.testing.assert_allclose(boxes(scan), wanted, atol=2e-3)


@pytest.mark.parametrize(
    ("shape", "row", "why"),
    [
        ((2, 3), BIRD, "expected 4 or 10 numbers after the class, as KPT_SHAPE is [2, 3], found 6"),
        ((0, 0), "0 0.1 0.2 0.5 0.1 0.3 7", "expected shares of the image"),
    ],
)
def test_what_does_not_fit_a_shape_that_is_given(read, shape, row, why):
    assert why in read(row, kpt_shape=shape).errors[0].text


@pytest.mark.parametrize("beside", [True, False])
def test_the_shape_of_a_data_yaml_counts_as_config_and_beside_the_labels(tmp_path, beside):
    for split in ("train", "val"):
        write_image(tmp_path / "images" / split / "a.jpg", (640, 480))
        (tmp_path / "labels" / split).mkdir(parents=True)
        (tmp_path / "labels" / split / "a.txt").write_text(UNCLEAR + "\n0 0.5 0.5 0.2 0.2")
    values = {"train": "images/train", "val": "images/val", "names": ["Mask"], "kpt_shape": [1, 2]}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(values))
    ours = {"TRAIN_DIR_IMAGES": "images/train", "TRAIN_DIR_LABELS": "labels/train", "CLASSES": ["Mask"]}
    ours |= {key.replace("TRAIN", "VALID"): value.replace("train", "val") for key, value in list(ours.items())[:2]}
    (tmp_path / "ours.yaml").write_text(yaml.safe_dump(ours))
    scan = scan_splits(load_config(tmp_path / ("ours.yaml" if beside else "data.yaml")), progress=False)["train"]
    np.testing.assert_allclose(boxes(scan), [[64, 96, 448, 288], BOX], atol=1e-3)
    assert scan.findings == []


@pytest.mark.parametrize("shape", [7, [17], [17, 4], [0, 2], [True, 2], ["17", 3]])
def test_a_shape_that_is_none(tmp_path, shape):
    (tmp_path / "images").mkdir()
    (tmp_path / "data.yaml").write_text(
        yaml.safe_dump({"train": "images", "val": "images", "names": ["Mask"], "kpt_shape": shape})
    )
    with pytest.raises(ConfigError, match=r"KPT_SHAPE: expected \[keypoints, numbers of each"):
        load_config(tmp_path / "data.yaml")


def test_the_shape_is_in_the_checkpoint(tmp_path):
    for split in ("a", "b"):
        (tmp_path / split).mkdir()
    path = tmp_path / "set.yaml"
    path.write_text("TRAIN_DIR_IMAGES: a\nVALID_DIR_IMAGES: b\nCLASSES: [Mask]\nFORMAT: yolo\nKPT_SHAPE: [0, 0]\n")
    config = load_config(path)
    assert config.kpt_shape == (0, 0) and config.as_dict()["KPT_SHAPE"] == [0, 0]


@pytest.mark.parametrize("row", ["0 320 240 100 80", "0 300 200 310 220 280 260", "0 100 120 220 240 0.9"])
def test_a_split_in_pixels_is_one_error(read, row):
    scan = read(*[f"{row}\n{row}"] * 4, "", "")
    (error,) = scan.findings
    assert error.check == "box-layout" and scan.annotations == []
    assert error.text.startswith(
        "expected x and y of the centre, width, height as shares of the image (0 to 1); 4 of 4 boxes in 4 files "
        "(a0.txt, a1.txt, a2.txt, …) cannot be meant so, and all fit as "
    )
    assert re.search(r"all fit as .* in pixels.*: a0.txt: line 1: box \(", error.text)


def test_a_split_in_pixels_of_other_images_is_one_error(read):
    (error,) = read(*["0 3200 2400 100 80"] * 4, "", "").findings
    assert error.check == "box-layout" and "the numbers of 4 of 4 files are larger, and fit no other" in error.text
    assert "a0.txt: line 1: expected shares of the image from 0 to 1, found 3200" in error.text


def test_some_files_in_pixels_are_errors_of_their_own(read):
    errors = read(*["0 320 240 100 80"] * 4, "0 0.5 0.5 0.2 0.2").errors
    assert [f.check for f in errors] == ["annotation-unreadable"] * 4
