from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from utils.annotations.annotation import Annotation
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.errors import ToolkitError
from utils.label_errors.correction import corrected, write_corrected
from utils.label_errors.label_error import LabelError

NAMES = ("__background__", "cat", 'd"o<g')


def annotation(path="a.jpg", boxes=((0, 0, 10, 10), (20, 20, 40, 40), (21, 20, 41, 40))):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Annotation(Path(path), 100, 80, boxes, np.ones(len(boxes), np.int64), np.zeros(len(boxes), bool))


ERRORS = [
    LabelError(0, "doubled", 0.95, 2, 1, None, None, 0.9, other=1),
    LabelError(0, "missing", 0.9, None, None, 2, (60.5, 60.0, 120.0, 90.0), 0.9),
    LabelError(0, "wrong-class", 0.8, 0, 1, 2, (1.0, 1.0, 11.0, 11.0), 0.9),
    LabelError(0, "badly-placed", 0.7, 1, 1, 1, (22.0, 24.0, 44.0, 46.0), 0.9),
    LabelError(1, "missing", 0.4, None, None, 1, (1.0, 1.0, 5.0, 5.0), 0.6),
]


def test_each_kind_is_corrected_where_it_is_rather_wrong_than_right():
    first, second = corrected([annotation(), annotation("b.jpg")], ERRORS)
    # Renamed with its own box; moved; the third is gone; the new one is cut at the image's border.
    assert first.boxes.tolist() == [[0, 0, 10, 10], [22, 24, 44, 46], [60.5, 60, 100, 80]]
    assert first.labels.tolist() == [2, 1, 2]
    assert second.boxes.tolist() == annotation().boxes.tolist()
    assert len(corrected([annotation(), annotation("b.jpg")], ERRORS, least=0.3)[1].labels) == 4
    empty = annotation(boxes=())
    assert corrected([empty], []) == [empty]


def test_the_copy_is_voc_xml_that_reads_back_and_nothing_is_overwritten(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        cv2.imwrite(str(tmp_path / split / "a.jpg"), np.zeros((80, 100, 3), np.uint8))
    splits = {split: [annotation(tmp_path / split / "a.jpg")] for split in ("train", "val")}
    path = write_corrected(tmp_path / "out", splits, ERRORS, NAMES, progress=False)
    scans = scan_splits(load_config(path), progress=False)
    assert scans["train"].annotations[0].labels.tolist() == [2, 1, 2]
    assert len(scans["val"].annotations[0].labels) == 3
    root = ElementTree.parse(next((tmp_path / "out").rglob("train/*.xml"))).getroot()
    assert [element.text for element in root.iterfind("object/name")] == ['d"o<g', "cat", 'd"o<g']
    assert root.findtext("filename") == "a.jpg" and root.findtext("size/width") == "100"
    with pytest.raises(ToolkitError, match="is not empty"):
        write_corrected(tmp_path / "out", splits, ERRORS, NAMES, progress=False)
