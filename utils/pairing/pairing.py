"""Pairs images with annotation files, in a folder and all below it, and finds those that a split list means."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.annotations.annotation import Findings
from utils.files import natural_key
from utils.images.formats import is_image, unread_format
from utils.names import how_they_differ, nfc, outline
from utils.pairing.file_tree import (
    IMAGE_FOLDERS,
    LABEL_FOLDERS,
    FileTree,
    folder_of,
    is_among,
    is_kind,
    list_tree,
    placeless,
    stem_of,
)
from utils.pairing.paired import Pairing
from utils.pairing.split_lists import listed_names

UPLOAD = re.compile(r"(^|/)[0-9a-f]{8}-(?=[^/]*$)")  # what Label Studio puts before the name of an uploaded file


@dataclass(eq=False)
class _File:
    """One side of a pair; `name` is relative to its folder, `key` the same without what is of the file's kind."""

    path: Path
    name: str
    partner: "_File | None" = None
    at_fault: bool = False

    @property
    def free(self) -> bool:
        return self.partner is None and not self.at_fault


def pair_files(
    scan: Findings,
    images_dir: Path,
    labels_dir: Path,
    is_label: Callable[[Path], bool],
    *,
    kind: str,
    stems: Iterable[str] | None = None,
    skip: Collection[str] = (),
    is_other: Callable[[str], bool] = lambda stem: False,
) -> Pairing:
    """Pair the images of one folder with the annotation files of another, or of the same, and of all folders below.

    A pair has the same path and stem, whatever folders such as "images" and "labels" are on the way; `a.jpg.xml` is
    of `a.jpg`. What then has no partner is paired, with a note, where it can only be meant so: names that differ in
    case alone; a flat folder of annotations of images in sub-folders, or the reverse, where each name is there once.

    Faults are findings of `scan`: names that several files share, names that are nearly the same, links to nothing,
    images of a format that is not read though they are annotated.

    Args:
        kind: of annotation file, for messages: "XML".
        stems: lines of a split list; only what they mean counts.
        skip: folders below that are left out, relative to `images_dir` and to `labels_dir`.
        is_other: whether a label file of this stem is no label unless an image has the very name.

    Raises:
        DatasetError: a folder cannot be listed.
    """
    image_tree = list_tree(images_dir, skip=skip)
    label_tree = image_tree if labels_dir == images_dir else list_tree(labels_dir, skip=skip)
    images = [_File(path, name) for name, path in image_tree.files if is_image(path)]
    labels = [_File(path, name) for name, path in label_tree.files if is_label(path)]
    for tree in {id(t): t for t in (image_tree, label_tree)}.values():
        for folder in tree.outputs:
            scan.add("folder-left-out", f"{tree.root / folder}: holds results of an earlier run")

    images = _without_masks(scan, images)
    notes, clashes = _match(images, labels, is_other)
    labels = [label for label in labels if label.partner or not is_other(stem_of(label.name).rpartition("/")[2])]
    wanted = _wanted(scan, images, labels, stems, kind, images_dir, labels_dir)

    result = Pairing(names={file.path: file.name for file in (*images, *labels)})
    for group, text in clashes:
        if any(wanted(file) for file in group):
            scan.add("ambiguous-name", text)
    for image, label in notes:
        if wanted(image) or wanted(label):
            way = _way(image.name, label.name)
            scan.add("paired-by-name", f"{image.name} with {label.name}: {way}", subject=f"paired though {way}")
    _report_near_names(scan, images, labels, wanted)
    _report_unread(scan, image_tree, labels, wanted)
    for image in sorted(images, key=lambda file: natural_key(file.name)):
        if not (wanted(image) or (image.partner and wanted(image.partner))) or image.at_fault:
            continue
        if image.path in image_tree.dangling:
            text = f"{image.path}: is a link to {image_tree.dangling[image.path]}, which is not there"
            scan.add("image-unreadable", text, image=image.path)
        elif image.partner and image.partner.path in label_tree.dangling:
            text = f"is a link to {label_tree.dangling[image.partner.path]}, which is not there"
            scan.add("annotation-unreadable", f"{image.partner.path}: {text}", image=image.path)
        elif image.partner:
            result.pairs.append((image.path, image.partner.path))
        else:
            result.unlabelled.append(image.path)
    orphaned = [label for label in labels if label.free and wanted(label)]
    result.orphaned = [label.path for label in sorted(orphaned, key=lambda file: natural_key(file.name))]
    result.labelled_folders = _labelled_folders(images, label_tree, shared=label_tree is image_tree)
    return result


def _without_masks(scan: Findings, images: list[_File]) -> list[_File]:
    """Leave out images that lie with the labels, such as masks, where a folder of images has the very names."""
    with_labels = [image for image in images if is_among(image.name, LABEL_FOLDERS - IMAGE_FOLDERS)]
    if not with_labels:
        return images
    proper = {placeless(stem_of(image.name)) for image in images if is_among(image.name, IMAGE_FOLDERS)}
    masks = {id(image): image for image in with_labels if placeless(stem_of(image.name)) in proper}
    for image in masks.values():
        scan.add("unlabelled", f"{image.name}: lies with the labels of an image of this name", image=image.path)
    return [image for image in images if id(image) not in masks]


def pair_names(
    images: Iterable[tuple[str, Path]], labels: Iterable[tuple[str, Path]], is_other: Callable[[str], bool]
) -> list[tuple[Path, Path]]:
    """Return the pairs among (relative name, path) of images and of annotation files, without any finding."""
    files = [_File(path, name) for name, path in images]
    _match(files, [_File(path, name) for name, path in labels], is_other)
    return [(image.path, image.partner.path) for image in files if image.partner and not image.at_fault]


def _match(images: list[_File], labels: list[_File], is_other: Callable[[str], bool]):
    """Set partners; returns the pairs that need a note, and groups of files that share a name, with a text."""
    notes: list[tuple[_File, _File]] = []
    clashes: list[tuple[list[_File], str]] = []
    whole, stem = (lambda name: name), stem_of
    for image_key, change, how in (
        (stem, _same, "unique"),  # a.jpg and a.xml; a.jpg.png and a.jpg.xml
        (whole, _same, "exact"),  # a.jpg and a.jpg.xml
        (stem, _same, "exact"),
        (stem, placeless, "unique"),  # images/a.jpg and labels/a.txt
        (whole, placeless, "exact"),
        (stem, placeless, "exact"),
        (stem, _folded, "like"),  # IMG_0.JPG and img_0.xml
        (whole, _folded, "like"),
        (stem, _flat, "flat"),  # cam1/a.jpg and a.xml
        (whole, _flat, "flat"),
    ):
        if not any(label.free for label in labels):
            break
        groups: dict[str, tuple[list[_File], list[_File]]] = defaultdict(lambda: ([], []))
        for side, files, key_of in ((0, images, image_key), (1, labels, stem)):
            for file in files:
                groups[change(key_of(file.name))][side].append(file)
        for found in groups.values():
            if not found[1]:
                continue
            if how == "flat":
                _match_flat(*found, notes, clashes)
                continue
            free = [[file for file in files if file.free] for files in found]
            if len(free[0]) == len(free[1]) == 1 and (how != "unique" or len(found[0]) == len(found[1]) == 1):
                free[0][0].partner, free[1][0].partner = free[1][0], free[0][0]
                if how == "like":
                    notes.append((free[0][0], free[1][0]))
            elif how == "exact" and free[1] and found[0] and found[0][0].partner and not free[0]:
                # A second annotation of an image that has one, such as a.xml beside a.jpg.xml.
                clashes.append(_clash([found[0][0].partner, *free[1]], found[0]))
            elif how != "unique" and free[0] and free[1]:
                clashes.append(_clash(max(free, key=len), [*free[0], *free[1]]))
        if change is _same and how == "exact" and image_key is stem:
            for label in labels:  # classes.txt and the like, unless an image has that very name
                label.at_fault |= label.free and is_other(stem_of(label.name).rpartition("/")[2])
    return notes, clashes


def _match_flat(images: list[_File], labels: list[_File], notes: list, clashes: list) -> None:
    """Pair files of one stem, in one folder on one side and in several on the other, where the stem is unique."""
    free_images, free_labels = [f for f in images if f.free], [f for f in labels if f.free]
    flat = [label for label in free_labels if not folder_of(placeless(label.name))]
    nested = [image for image in free_images if folder_of(placeless(image.name))]
    if flat and nested:
        if len(images) == len(free_labels) == 1:
            pass
        else:
            clashes.append(_clash(max(images, free_labels, key=len), [*free_images, *free_labels]))
            return
    elif not (free_labels and free_images and len(images) == 1) or folder_of(placeless(images[0].name)):
        return
    elif len(free_labels) > 1:
        clashes.append(_clash(free_labels, [*free_images, *free_labels]))
        return
    free_images[0].partner, free_labels[0].partner = free_labels[0], free_images[0]
    notes.append((free_images[0], free_labels[0]))


def _clash(several: list[_File], group: list[_File]) -> tuple[list[_File], str]:
    for file in {id(file): file for file in (*several, *group)}.values():
        file.at_fault = True
        if file.partner:
            file.partner.at_fault = True
    names = ", ".join(file.name for file in several)
    return [*several, *group], f"{several[0].path}: expected one file of this stem, found {names}"


def _same(key: str) -> str:
    return key


def _folded(key: str) -> str:
    return nfc(placeless(key).casefold())


def _flat(key: str) -> str:
    return nfc(key.rpartition("/")[2].casefold())


def _way(image: str, label: str) -> str:
    """Return in what the names of a pair differ."""
    if folder_of(placeless(image)).casefold() != folder_of(placeless(label)).casefold():
        return "they lie in folders of different names, and the name is there once"
    return "their names differ in upper and lower case"


def _labelled_folders(images: list[_File], label_tree: FileTree, *, shared: bool) -> set[str]:
    """Return the folders, placeless, of which an image has an annotation, or which are there as folders of labels."""
    known = {folder_of(placeless(image.name)) for image in images if image.partner}
    for folder in label_tree.folders:
        if not shared or any(map(is_kind, folder.split("/"))):
            known.add(folder_of(placeless(f"{folder}/x")) if folder else "")
    return known | {""}


def _report_near_names(scan: Findings, images: list[_File], labels: list[_File], wanted) -> None:
    """Find files without a partner, but for a look-alike or invisible character, or what upload services change."""
    near: dict[str, list[_File]] = defaultdict(list)
    for image in images:
        if image.free:
            near[_rough(stem_of(image.name))].append(image)
    for label in labels if near else ():
        if not label.free:
            continue
        names = [stem_of(label.name)]
        names += [stem_of(names[0])] if is_image(names[0]) else []
        names += [UPLOAD.sub(r"\1", name) for name in names]
        found = next((near[key] for name in names if (key := _rough(name)) in near), [])
        if not found or not any(wanted(file) for file in (label, *found)):
            continue
        label.at_fault = True
        for image in found:
            image.at_fault = True
            differs = how_they_differ(stem_of(label.name).rpartition("/")[2], stem_of(image.name).rpartition("/")[2])
            text = f"{image.path}: has no annotation of its name, but {label.name} {differs}"
            scan.add("near-name", text, image=image.path)


def _rough(key: str) -> str:
    """Return a name with each run of spaces, brackets and the like as one underscore, as uploading makes it."""
    parts = outline(placeless(key)).split("/")
    return "/".join(re.sub(r"[\x00-/:-@\[-`{-\x7f]+", "_", part).strip("_") or part for part in parts)


def _report_unread(scan: Findings, tree: FileTree, labels: list[_File], wanted) -> None:
    """Report annotations whose image is there, but of a format that is not read."""
    unread = {_folded(stem_of(name)): path for name, path in tree.files if unread_format(path)}
    for label in labels if unread else ():
        names = [stem_of(label.name), stem_of(stem_of(label.name))]
        path = next((unread[key] for name in names if (key := _folded(name)) in unread), None)
        if label.free and path and wanted(label):
            label.at_fault = True
            scan.add("image-format", f"{path}: {unread_format(path)}", subject=unread_format(path), image=path)


# --- split lists -----------------------------------------------------------------------------------------------------


def _wanted(scan: Findings, images, labels, stems, kind: str, images_dir: Path, labels_dir: Path) -> Callable:
    """Check whether a file counts: any does without a list."""
    if stems is None:
        return lambda file: True
    known = {stem_of(file.name) for file in (*images, *labels)} | {image.name for image in images}
    listed = listed_names(scan, stems, known, f"{images_dir} has no such image and {labels_dir} no such {kind}")
    return lambda file: file.name in listed or stem_of(file.name) in listed
