"""A split in Pascal VOC XML, the files beside their images or in a folder of their own."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from utils.images import is_image
from utils.pairing import files_by_stem, listed_stems
from utils.reading import Box, LabelledObject, Labels, Pair, read_pairs
from utils.scan import BACKGROUND, Scan, natural_key
from utils.voc_xml import VocFile, VocObject, called, read_voc_file

__all__ = ["VocFile", "VocObject", "read_voc", "read_voc_file"]


def read_voc(
    images_dir: Path,
    labels_dir: Path,
    class_names: tuple[str, ...],
    *,
    stems: Iterable[str] | None = None,
    renamed: Mapping[str, str] | None = None,
    ignored: Collection[str] = (),
    one_based: bool = False,
    skip_bad: bool = False,
    progress: bool = True,
) -> Scan:
    """Pair the images of one folder with the XML files of another (or the same) by stem, and read them all.

    `class_names[0]` is the background. `stems` are the lines of a split list: a stem, perhaps with the image's
    extension, perhaps with VOC's second column; only what is listed counts then. `renamed` are names in
    the files that mean one of the classes; objects of `ignored` classes are left out, and counted. `one_based` is the
    original VOC devkit's convention, pixels counted from 1 and xmax, ymax inclusive. Boxes are clipped to the image,
    and dropped where nothing is left. Faults of single files are findings of the Scan. Raises DatasetError only for a
    folder that cannot be listed.
    """
    if class_names[:1] != (BACKGROUND,):
        raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {class_names!r}")
    images = files_by_stem(images_dir, is_image)
    labels = files_by_stem(labels_dir, lambda path: path.suffix.lower() == ".xml" and not path.name.startswith("."))
    scan, keys = Scan(), images.keys() | labels.keys()
    if stems is not None:
        keys = listed_stems(scan, stems, keys, f"{images_dir} has no such image and {labels_dir} no such XML")

    pairs = []
    for key in sorted(keys, key=natural_key):
        found = images.get(key, []), labels.get(key, [])
        if not found[1]:
            for path in found[0]:
                scan.add("unlabelled", path.name, image=path)
        elif not found[0]:
            for path in found[1]:
                scan.add("orphaned", path.name)
        elif len(found[0]) > 1 or len(found[1]) > 1:
            several = max(found, key=len)
            names = ", ".join(path.name for path in several)
            scan.add("ambiguous-name", f"{several[0]}: expected one file of this stem, found {names}")
        else:
            pairs.append(_pair(found[0][0], found[1][0], one_based=one_based))
    how = {"renamed": renamed or {}, "ignored": ignored, "progress": progress}
    scan.extend(read_pairs(pairs, class_names, title=f"Reading {images_dir.name}", **how))
    scan.skip_bad = skip_bad
    return scan


def _pair(image_path: Path, path: Path, *, one_based: bool) -> Pair:
    def read() -> Labels:
        voc = read_voc_file(path)
        objects = tuple(
            LabelledObject(called(index, item.name), item.name, item.box, item.difficult)
            for index, item in enumerate(voc.objects, 1)
        )
        return Labels(objects, voc.size, **({"to_pixels": _from_one_based} if one_based else {}))

    return Pair(image_path, path, path.name, read)


def _from_one_based(box: Box, size: tuple[int, int]) -> Box:
    return box[0] - 1, box[1] - 1, box[2], box[3]
