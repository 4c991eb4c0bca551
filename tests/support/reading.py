"""Reads a folder in one of the formats, as `scan_split` does, without a YAML."""

from functools import partial
from pathlib import Path

from utils.annotations.scan_result import Scan
from utils.dataset.scan import read_folder
from utils.formats.format import ReadOptions
from utils.formats.formats import FORMATS


def read(
    format_name: str, images_dir: Path, labels_path: Path, class_names, *, skip_bad: bool = False, **options
) -> Scan:
    options = ReadOptions(class_names, others=FORMATS.values(), **options)
    return read_folder(FORMATS[format_name], images_dir, labels_path, options, skip_bad=skip_bad)


read_voc, read_coco, read_yolo, read_labelme = (partial(read, name) for name in FORMATS)
