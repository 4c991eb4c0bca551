"""Searches for the annotations of images that have none, when the configuration names another folder or none."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from utils.annotations.annotation import YAML_PREFIX
from utils.annotations.scan_result import Scan
from utils.errors import DatasetError
from utils.formats.coco.json_file import listed_names_of
from utils.formats.format import MAX_HEADS, Format
from utils.images.formats import is_image
from utils.names import nfc
from utils.pairing.file_tree import is_kind, list_tree
from utils.pairing.pairing import pair_names

LEAST_SHARE = 0.2  # of the images; a folder that has annotations for fewer is not theirs
MAX_FOLDERS, MAX_DEPTH = 500, 4  # that are searched
SPLIT_FOLDER = re.compile(r"(train|val|valid|validation|test)[-_]?\w{0,4}", re.IGNORECASE)


def search_labels(scan: Scan, config, split: str, formats: Mapping[str, Format]) -> None:
    """Say where the annotations are, if most images of a split have none: replaces the findings that it explains.

    A split whose images are all negatives, because not one has a label file, is an error, too. `formats` are all known
    ones by name.
    """
    beside = [known for known in formats.values() if known.one_file_per_image]
    images_dir, labels_dir = getattr(config, f"{split}_images_dir"), getattr(config, f"{split}_labels_dir")
    key = f"{YAML_PREFIX[split]}_DIR_LABELS"
    bare = [f.image for check in ("unlabelled", "unlisted-negative") for f in scan.of(check) if f.image]
    if not scan.annotations and not bare:
        scan.outside = True
        _report_swapped(scan, images_dir, labels_dir, YAML_PREFIX[split], beside)
        return
    used = {annotation.image_path for annotation in scan.annotations} - set(bare)
    if len(bare) < len(used) or not formats[config.annotation_format].one_file_per_image:
        return
    scan.outside = True
    replaced = ("unlabelled", "unlisted-negative", "orphaned", "no-images")
    places = _places(bare, images_dir, labels_dir, getattr(config, "path", None), beside)
    if places:
        found_there = " or ".join(f"{place} has {count} {what} of these names" for place, count, what in places[:2])
        given = f"write `{key}: {{}}` in place of {labels_dir}" if labels_dir != images_dir else f"add `{key}: {{}}`"
        line = given.format(_as_written(places[0][0], config))
        scan.findings = [f for f in scan.findings if f.check not in replaced]
        _drop(scan, set(bare))
        scan.add("labels-elsewhere", f"{len(bare)} images have no annotation in {labels_dir}; {found_there}: {line}")
    elif not used and scan.of("unlisted-negative"):
        scan.findings = [f for f in scan.findings if f.check != "unlisted-negative"]
        _drop(scan, set(bare))
        text = (
            f"{labels_dir}: expected YOLO's text files of the names of {len(bare)} images in {images_dir}, found none"
        )
        scan.add("no-labels", text)


def _drop(scan: Scan, images: set[Path]) -> None:
    """Take images out that were taken for negatives."""
    kept = [index for index, annotation in enumerate(scan.annotations) if annotation.image_path not in images]
    scan.thumbnails = [scan.thumbnails[index] for index in kept]
    scan.annotations = [scan.annotations[index] for index in kept]
    scan.turned = [turned for turned in scan.turned if turned.image_path not in images]


def _report_swapped(scan: Scan, images_dir: Path, labels_dir: Path, split: str, beside: Sequence[Format]) -> None:
    if labels_dir == images_dir or not labels_dir.is_dir():
        return
    images = [(name, path) for name, path in list_tree(labels_dir).files if is_image(path)]
    files = list_tree(images_dir).files
    for known in beside:
        labels = [(name, path) for name, path in files if known.is_label(path)]
        if labels and images and (pairs := pair_names(images, labels, known.is_other)):
            keys = (f"{split}_DIR_IMAGES", f"{split}_DIR_LABELS")
            text = f"{images_dir} has {len(pairs)} {known.kind}s and {labels_dir} the images of these names"
            scan.add("labels-elsewhere", f"{text}: {keys[0]} and {keys[1]} are the wrong way round: swap their paths")
            return


def _places(
    images: Sequence[Path], images_dir: Path, labels_dir: Path, config_path: Path | None, beside: Sequence[Format]
) -> list[tuple[Path, int, str]]:
    """Return (folder or COCO file, images that it has annotations of, what it has), those that fit best."""
    names = [(os.path.relpath(path, images_dir).replace(os.sep, "/"), path) for path in images]
    own = {images_dir.resolve(), labels_dir.resolve()}
    wanted = [part for part in _parts(images_dir) if not is_kind(part)]
    found = []
    for root in _roots(images_dir, labels_dir):
        # Beside a folder that has a dataset's name, or an unknown one, lie other datasets.
        within = config_path and root.resolve().is_relative_to(config_path.resolve().parent)
        any_name = root == images_dir or within or _is_usual(images_dir.name)
        for folder, depth in _folders(root):
            if folder.resolve() not in own and _may_be_theirs(folder.relative_to(root), wanted, any_name):
                here = _fits(names, folder, beside)
                alike = len({part.casefold() for part in _parts(folder)} & {part.casefold() for part in wanted})
                found += [(count, alike, depth, place, what) for place, count, what in here]
        if found:
            break
    least = max(1, LEAST_SHARE * len(images))
    found = sorted((item for item in found if item[0] >= least), key=lambda item: item[:3], reverse=True)
    return [(place, count, what) for count, alike, _, place, what in found if (count, alike) == found[0][:2]]


def _may_be_theirs(relative: Path, wanted: Collection[str], any_name: bool) -> bool:
    """Check whether a folder may hold them: further down, folders of other names are other datasets."""
    return (any_name and len(relative.parts) == 1) or all(_is_usual(part) or part in wanted for part in relative.parts)


def _is_usual(folder: str) -> bool:
    return is_kind(folder) or bool(SPLIT_FOLDER.fullmatch(folder))


def _fits(images: list[tuple[str, Path]], folder: Path, beside: Sequence[Format]) -> list[tuple[Path, int, str]]:
    try:
        files = list_tree(folder).files
    except DatasetError:
        return []
    found = []
    if not is_kind(folder.name) and any(is_image(path) for _, path in files):
        return []  # another dataset, whose annotations are of its own images
    for known in beside:
        labels = [(name, path) for name, path in files if known.is_label(path)]
        pairs = pair_names(images, labels, known.is_other) if labels else []
        if any(known.holds(path) for _, path in pairs[:MAX_HEADS]):
            found.append((folder, len(pairs), f"{known.kind}s" if known.kind != "XML" else "XML files"))
    wanted = {nfc(path.name) for _, path in images}
    for name, path in files:
        if "/" not in name and path.suffix.lower() == ".json" and (count := len(wanted & listed_names_of(path))):
            found.append((path, count, "images in COCO's JSON"))
    return found


def _roots(images_dir: Path, labels_dir: Path) -> list[Path]:
    """Return folders to search below: the images' own, the one above, one more where that names a kind or a split."""
    roots = [images_dir, images_dir.parent]
    if _is_usual(images_dir.parent.name):
        roots.append(images_dir.parent.parent)
    return list(dict.fromkeys([*roots, *[labels_dir.parent] * (labels_dir != images_dir)]))


def _folders(root: Path) -> list[tuple[Path, int]]:
    """Return folders below, with their depth; bounded, because `root` may be huge."""
    found, level = [], [root]
    for depth in range(1, MAX_DEPTH + 1):
        below = []
        for folder in level:
            try:
                entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
            except OSError:  # not ours to read
                continue
            below += [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
        found += [(folder, depth) for folder in below]
        level = below
        if len(found) > MAX_FOLDERS:
            break
    return found[:MAX_FOLDERS]


def _parts(path: Path) -> list[str]:
    return list(path.absolute().parts)


def _as_written(place: Path, config) -> str:
    """Return a path as the YAML may have it: from the YAML's folder where it lies below."""
    try:
        return place.resolve().relative_to(config.path.resolve().parent).as_posix()
    except (ValueError, AttributeError):
        return str(place)
