"""Every format as a row of `FORMATS`: what it says of itself is true of what it writes."""

import numpy as np
import pytest

from support.voc_files import CLASSES, write_image
from utils.annotations.annotation import Annotation
from utils.annotations.scan_result import Scan
from utils.config.config import load_config
from utils.dataset.scan import scan_splits
from utils.dataset.writer import write_dataset
from utils.formats.format import ReadOptions
from utils.formats.formats import FORMATS, detect_format
from utils.formats.pairs import find_pairs


def annotated(path):
    write_image(path, (60, 40))
    boxes, labels = np.float32([[1, 2, 30.5, 20]]), np.array([1])
    return Annotation(path, 60, 40, boxes, labels, np.zeros(1, bool))


def test_a_row_is_found_by_its_name():
    assert list(FORMATS) == ["voc", "coco", "yolo", "labelme"]
    assert all(known.name == name and known.title and known.suffix[0] == "." for name, known in FORMATS.items())


@pytest.mark.parametrize("name", list(FORMATS))
def test_what_a_format_writes_it_detects_and_pairs(tmp_path, name):
    images = [annotated(tmp_path / "old" / file) for file in ("a.jpg", "b.jpg")]
    config = load_config(
        write_dataset(tmp_path / "new", {"train": images, "val": images}, CLASSES, name, progress=False)
    )
    images_dir, labels = config.train_images_dir, config.train_labels_dir
    files = [labels] if labels.is_file() else sorted(path for path in labels.iterdir() if FORMATS[name].is_label(path))
    assert len(files) == (2 if FORMATS[name].one_file_per_image else 1)
    assert all([other for other in FORMATS if FORMATS[other].holds(path)] == [name] for path in files)
    assert detect_format(images_dir, labels) == name
    scan = Scan()
    found = find_pairs(FORMATS[name], scan, images_dir, labels, ReadOptions(CLASSES))
    assert [pair.image_path.name for pair in found.pairs] == ["a.jpg", "b.jpg"] and not scan.findings


@pytest.mark.parametrize("name", list(FORMATS))
def test_sub_folders_stay_and_come_back(tmp_path, name):
    """Also those that are called alike, and one that is called like another split, which would not be read."""
    below = ("f0.jpg", "cam1/f0.jpg", "cam2/f0.jpg", "images/cam2/f0.jpg", "test/f0.jpg", "cam1/deep/f1.jpg")
    images = [annotated(tmp_path / "old" / file) for file in below]
    path = write_dataset(tmp_path / "new", {"train": images, "val": images[:1]}, CLASSES, name, progress=False)
    config = load_config(path)
    scan = scan_splits(config, progress=False)["train"]
    names = {a.image_path.relative_to(config.train_images_dir).as_posix() for a in scan.annotations}
    assert names == {"f0.jpg", "cam1/f0.jpg", "cam2/f0.jpg", "cam2/f0_2.jpg", "test_f0.jpg", "cam1/deep/f1.jpg"}
    assert not scan.findings and all(len(a.boxes) == 1 for a in scan.annotations)


def test_class_names_begin_with_the_background():
    with pytest.raises(ValueError, match="__background__"):
        ReadOptions(("Mask",))
