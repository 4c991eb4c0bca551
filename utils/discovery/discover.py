"""Finds the format, the splits and the class names of a dataset in a folder as people have it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from utils.annotations.annotation import BACKGROUND
from utils.discovery.class_names import classes_of_files, named_classes, yolo_classes
from utils.discovery.coco_layout import find_coco_sets, layout_of_coco
from utils.discovery.layout import Discovery
from utils.discovery.pair_layout import Pairs, find_pairs, layout_of_pairs
from utils.discovery.yolo_layout import find_data_yaml, layout_of_data_yaml
from utils.errors import DatasetError
from utils.files import first_entries
from utils.formats.format import Format, ReadOptions
from utils.formats.formats import FORMATS
from utils.images.formats import is_image
from utils.pairing.file_tree import FileTree, list_tree

SAMPLED = 20  # annotation files that show whether all are of a format


def discover(root: Path) -> Discovery:
    """Look through a folder with all below it.

    Raises DatasetError for a folder that is not there or has no images, or no annotations of a known format for them.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    tree = list_tree(root)
    images = [(name, path) for name, path in tree.files if is_image(path)]
    if not images:
        raise DatasetError(f"{root}: expected images in it or in folders below, found {first_entries(root)}")
    paths = [path for _, path in images]
    sets = find_coco_sets(root, tree.files, paths)
    pairs = {name: _pairs_of(name, tree, images) for name, known in FORMATS.items() if known.one_file_per_image}
    counts = {name: len(pairs[name]) if name in pairs else sum(one.images for one in sets) for name in FORMATS}
    best = max(counts, key=lambda name: counts[name])  # of equals, XML first: tools leave other files beside it
    if not counts[best]:
        raise DatasetError(
            f"{root}: found {len(images)} images, but no annotations for them: expected Pascal VOC XML, YOLO text or "
            f"LabelMe JSON files of the same names, or a COCO JSON file that lists them; it holds {first_entries(root)}"
            f"{_why_unread(tree)}"
        )
    notes = [
        f"{count} images have {FORMATS[name].title}, too, which is not used"
        for name, count in counts.items()
        if count and name != best
    ]
    chosen = FORMATS[best]
    if not chosen.one_file_per_image:
        layout, used = layout_of_coco(sets)
        objects: Counter[str] = Counter()
        for one in used:
            objects.update(one.objects)
        return Discovery(root, best, layout, named_classes(objects), notes=tuple(notes))
    if not chosen.names_classes or chosen.read_file is None:
        return _discover_numbered(chosen, tree, paths, pairs[best], notes)
    classes = classes_of_files(chosen.read_file, [label for _, label in pairs[best]])
    if not classes.names:
        raise DatasetError(f"{root}: {len(pairs[best])} annotation files, but not one object in them")
    if bare := len(images) - len(pairs[best]):
        notes.append(f"{bare} image{'s have' if bare > 1 else ' has'} no annotation file: left out")
    return Discovery(
        root, best, layout_of_pairs(tree, paths, pairs[best], bare_count=False), classes, notes=tuple(notes)
    )


def _pairs_of(name: str, tree: FileTree, images: Sequence[tuple[str, Path]]) -> Pairs:
    """Pair the images with the files of a format; [] where none of these is of the format."""
    known = FORMATS[name]
    labels = [(label, path) for label, path in tree.files if known.is_label(path)]
    pairs = find_pairs(tree.root, images, labels, known.is_other) if labels else []
    return pairs if any(known.holds(path) for _, path in pairs[:SAMPLED]) else []


def _why_unread(tree: FileTree) -> str:
    """Return why a file that begins like one of a format cannot be read, such as CVAT's XML; "" without such a file."""
    for known in FORMATS.values():
        labels = [path for _, path in tree.files if known.read_file and known.is_label(path)]
        for path in labels[:SAMPLED]:
            try:
                if known.read_file and known.holds(path):
                    known.read_file(path, ReadOptions((BACKGROUND,)))
            except DatasetError as error:
                return f"; {error}"
    return ""


def _discover_numbered(
    chosen: Format, tree: FileTree, images: Sequence[Path], pairs: Pairs, notes: list[str]
) -> Discovery:
    about = find_data_yaml(tree.files)
    layout = layout_of_data_yaml(*about, images) if about else None
    if layout is None:
        layout = layout_of_pairs(tree, images, pairs, bare_count=True)
    parts = [layout.train, *([layout.val] if layout.val else [])]
    folders = [(folder.images_dir, folder.labels_dir) for part in parts for folder in part.folders]
    classes = yolo_classes(tree.root, folders, [label for _, label in pairs])
    kpt_shape = about[1].get("KPT_SHAPE") if about else None
    return Discovery(tree.root, chosen.name, layout, classes, kpt_shape, tuple(notes))
