"""A split in Pascal VOC XML, the files beside their images or in a folder of their own."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from utils.annotations.annotation import BACKGROUND, Scan
from utils.annotations.labels import Box, LabelledObject, Labels, Pair
from utils.annotations.reading import read_pairs
from utils.formats.voc.xml_file import VocFile, VocObject, called, read_voc_file
from utils.pairing.label_files import pair_labels

__all__ = ["VocFile", "VocObject", "read_voc", "read_voc_file"]


def read_voc(
    images_dir: Path,
    labels_dir: Path,
    class_names: tuple[str, ...],
    *,
    stems: Iterable[str] | None = None,
    skip: Collection[str] = (),
    renamed: Mapping[str, str] | None = None,
    ignored: Collection[str] = (),
    numbered: Sequence[str] = (),
    kpt_shape: tuple[int, int] | None = None,
    one_based: bool = False,
    skip_bad: bool = False,
    progress: bool = True,
) -> Scan:
    """Pair the images of one folder with the XML files of another (or the same), sub-folders too, and read them all.

    `class_names[0]` is the background. `stems` are the lines of a split list: a stem, perhaps with the image's
    extension, perhaps with VOC's second column; only what is listed counts then. `skip` are folders below that are
    another split's, see `pair_files`. `renamed` are names in the files that mean one of the classes;
    objects of `ignored` classes are left out, and counted. `one_based` is the original VOC devkit's convention, pixels
    counted from 1 and xmax, ymax inclusive. Boxes are clipped to the image, and dropped where nothing is left. Faults
    of single files are findings of the Scan. Raises DatasetError only for a folder that cannot be listed.
    """
    if class_names[:1] != (BACKGROUND,):
        raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {class_names!r}")
    scan = Scan()
    paired = pair_labels(scan, images_dir, labels_dir, "voc", stems=stems, skip=skip)
    for path in paired.unlabelled:
        scan.add("unlabelled", paired.name(path), image=path)
    for path in paired.orphaned:
        scan.add("orphaned", paired.name(path))
    pairs = [_pair(image, path, paired.name(path), one_based=one_based) for image, path in paired.pairs]
    how = {"renamed": renamed or {}, "ignored": ignored, "progress": progress}
    scan.extend(read_pairs(pairs, class_names, title=f"Reading {images_dir.name}", **how))
    scan.skip_bad = skip_bad
    return scan


def _pair(image_path: Path, path: Path, name: str, *, one_based: bool) -> Pair:
    def read() -> Labels:
        voc = read_voc_file(path)
        objects = tuple(
            LabelledObject(called(index, item.name), item.name, item.box, item.difficult, rotation=item.rotation)
            for index, item in enumerate(voc.objects, 1)
        )
        how = {"to_pixels": _from_one_based} if one_based else {}
        if voc.deleted:
            how["notes"] = (("deleted", f"{path.name}: {voc.deleted} objects marked as deleted"),)
        return Labels(objects, voc.size, **how)

    return Pair(image_path, path, name, read)


def _from_one_based(box: Box, size: tuple[int, int]) -> Box:
    return box[0] - 1, box[1] - 1, box[2], box[3]
