"""The annotation formats, a row each, and which one a folder holds."""

from pathlib import Path

from utils.errors import DatasetError
from utils.formats.coco.format import COCO
from utils.formats.format import MAX_HEADS, Format
from utils.formats.labelme import LABELME
from utils.formats.voc.format import VOC
from utils.formats.yolo.format import YOLO
from utils.images.formats import is_image
from utils.pairing.file_tree import list_tree
from utils.pairing.pairing import pair_names

# The order matters: of several formats that as many images have, the first is taken, since tools leave other files
# beside their XML.
FORMATS: dict[str, Format] = {
    VOC.name: VOC,
    COCO.name: COCO,
    YOLO.name: YOLO,
    LABELME.name: LABELME,
}
DEFAULT = VOC.name  # where nothing shows another


def detect_format(images_dir: Path, labels_path: Path) -> str:
    """Return the name of the format that most images have a file of; `DEFAULT` where there is none."""
    whole = [known for known in FORMATS.values() if not known.one_file_per_image]
    if not labels_path.is_dir():
        for known in whole:
            if known.is_label(labels_path):
                return known.name
    try:
        beside = list_tree(images_dir).files
        images = [(name, path) for name, path in beside if is_image(path)]
        files = beside if labels_path == images_dir else list_tree(labels_path).files
    except DatasetError:  # reported where the folder is read
        return DEFAULT
    paired = {}
    for known in FORMATS.values():
        if not known.one_file_per_image:
            continue
        labels = [(label, path) for label, path in files if known.is_label(path)]
        pairs = pair_names(images, labels, known.is_other) if labels else []
        sure = any(known.holds(path) for _, path in pairs[:MAX_HEADS])  # captions are text files, too
        if pairs and (sure or known.sure_by_name):
            paired[known.name] = (sure, len(pairs))
    if paired:
        return max(paired, key=lambda name: paired[name])
    suffixes = {path.suffix.lower() for _, path in files}
    found = [known.name for known in whole if known.suffix in suffixes]
    return found[0] if found and FORMATS[DEFAULT].suffix not in suffixes else DEFAULT
