"""Lists the annotation formats, and detects which one a folder holds."""

from pathlib import Path

from utils.errors import DatasetError
from utils.formats.coco.reader import read_coco
from utils.formats.labelme import read_labelme
from utils.formats.voc.reader import read_voc
from utils.formats.yolo.reader import read_yolo
from utils.images.io import is_image
from utils.pairing.file_tree import list_tree
from utils.pairing.label_files import LABEL_FORMATS, looks_like
from utils.pairing.pairing import pair_names

LOOKED_INTO = 20  # files, to tell a format

READERS = {"voc": read_voc, "coco": read_coco, "yolo": read_yolo, "labelme": read_labelme}


def detect_format(images_dir: Path, labels_path: Path) -> str:
    """The format of the annotations at a place: the one that most images have a file of; "voc" where there is none.

    Of several formats that as many images have, XML comes first: tools leave other files beside their exports.
    """
    if labels_path.suffix.lower() == ".json" and not labels_path.is_dir():
        return "coco"
    try:
        images = [(name, path) for name, path in list_tree(images_dir).files if is_image(path)]
        files = list_tree(labels_path).files
    except DatasetError:  # told by whoever reads the folder
        return "voc"
    paired = {}
    for name, known in LABEL_FORMATS.items():
        labels = [(label, path) for label, path in files if known.is_label(path)]
        pairs = pair_names(images, labels, known.is_other) if labels else []
        sure = any(looks_like(path, known) for _, path in pairs[:LOOKED_INTO])  # captions are text files, too
        if pairs and (sure or name != "labelme"):
            paired[name] = (sure, len(pairs))
    if paired:
        return max(paired, key=paired.get)  # of equals, the first
    suffixes = {path.suffix.lower() for _, path in files}
    return "coco" if ".json" in suffixes and ".xml" not in suffixes else "voc"
