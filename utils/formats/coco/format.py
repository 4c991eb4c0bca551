"""COCO's JSON for object detection as a format: one file for a split."""

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from utils.annotations.annotation import Findings
from utils.annotations.labels import Box, Labels, Pair
from utils.errors import DatasetError
from utils.files import natural_key, write_text_atomically
from utils.formats.coco.file_names import ImageFinder, inside
from utils.formats.coco.json_file import CocoImage, read_coco_file
from utils.formats.coco.writer import CocoObjects, coco_dataset
from utils.formats.format import Format, Found, ReadOptions, Split
from utils.images.formats import is_image
from utils.names import nfc
from utils.pairing.file_tree import FileTree, folder_of, stem_of
from utils.pairing.split_lists import listed_names


def _find_pairs(scan: Findings, images_dir: Path, labels_path: Path, options: ReadOptions) -> Found:
    """Return the images that a COCO file lists, from `images_dir` or folders below it.

    A category is a class by its name. An image without annotations is a negative; one that the file does not list is
    unlabelled. Crowd regions are left out, and counted. The labels path may be a folder that holds one JSON file.
    """
    json_path = json_file(labels_path)
    pairs, content = [], read_coco_file(json_path)
    for text in content.faults:
        scan.add("annotation-unreadable", text)
    entries = sorted(content.images, key=lambda entry: natural_key(entry.file_name))
    if options.stems is not None:
        names = {name for entry in entries for name in (entry.file_name, stem_of(entry.file_name))}
        wanted = listed_names(scan, options.stems, names, f"{json_path} has no such image")
        entries = [e for e in entries if e.file_name in wanted or stem_of(e.file_name) in wanted]
    finder = ImageFinder(images_dir, options.skip)
    of_path: dict[Path, list[tuple[bool, CocoImage]]] = {}
    for entry in entries:
        path, is_own_name = finder.find(entry.file_name)
        if path:
            of_path.setdefault(path, []).append((is_own_name, entry))
        elif inside(images_dir, entry.file_name) is None:
            source = f"{json_path}: image {entry.file_name!r:.200}"
            scan.add("annotation-unreadable", f"{source}: expected a path inside {images_dir}")
        else:
            scan.add("orphaned", f"{json_path.name}: image {entry.file_name}")
    ignored = options.ignored
    gone = {nfc(name) for name in (*ignored, *(old for old, new in options.renamed.items() if new in ignored))}
    for path, found in of_path.items():
        if one := _entry_of(scan, path, found, json_path):
            source = f"{json_path}: image {one.file_name!r:.200}"
            pairs.append(Pair(path, source, f"{json_path.name}: image {one.file_name}", _reader(one, source, gone)))
    scan.outside |= finder.looked_outside
    if options.stems is None:
        _report_unlisted(scan, finder.tree, set(of_path), json_path)
    return Found(pairs)


def _entry_of(scan: Findings, path: Path, found: list[tuple[bool, CocoImage]], json_path: Path) -> CocoImage | None:
    """Return the entry of an image, of all that mean it, and whether each has its very name; None where they differ."""
    own = [entry for is_own_name, entry in found if is_own_name]
    entries = own or [entry for _, entry in found]
    for is_own_name, entry in found if own else ():
        if not is_own_name:
            scan.add("orphaned", f"{json_path.name}: image {entry.file_name}")
    if len(entries) > 1:
        spelled = " and ".join(dict.fromkeys(repr(entry.file_name)[:200] for entry in entries))
        scan.add("ambiguous-name", f"{json_path}: image {spelled}: listed twice", image=path)
        said = [{(item.name, item.box) for item in entry.objects} for entry in entries]
        if any(objects != said[0] for objects in said):
            return None
    elif not own:
        text = f"{json_path.name}: image {entries[0].file_name} is taken for {path.name}"
        subject = f"images of {json_path.name} taken by the last part of their names"
        scan.add("paired-by-name", text, subject=subject, image=path)
    return entries[0]


def _report_unlisted(scan: Findings, tree: FileTree, listed: set[Path], json_path: Path) -> None:
    """Report images that the file does not list; a folder of which it lists none is one finding."""
    folders: dict[str, list[tuple[str, Path]]] = {}
    for name, path in tree.files:
        if is_image(path):
            folders.setdefault(folder_of(name), []).append((name, path))
    for folder, images in folders.items():
        if folder and not any(path in listed for _, path in images):
            text = f"{tree.root / folder}: {len(images)} images, none of them in {json_path.name}"
            scan.add("folder-left-out", text)
            continue
        for name, path in images:
            if path not in listed:
                scan.add("unlabelled", name, image=path)


def json_file(path: Path) -> Path:
    """Return the file itself, or the only JSON file of a folder."""
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() == ".json" and not file.name.startswith("."))
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:5]) or "none"
        raise DatasetError(f"{path}: expected one COCO JSON file, found {names}; name the file itself")
    return found[0]


def _reader(entry: CocoImage, source: str, gone: Collection[str]) -> Callable[[], Labels]:
    """Return what reads the entry; crowd regions of the classes in `gone` are left out like their objects."""
    crowds = sum(nfc(name) not in gone for name in entry.crowds)

    def read() -> Labels:
        if entry.faults:
            more = f"; … and {len(entry.faults) - 5} more" if len(entry.faults) > 5 else ""
            raise DatasetError(f"{source}: {'; '.join(entry.faults[:5])}{more}")
        notes = (("crowd", f"{entry.file_name}: {crowds} crowd regions"),) if crowds else ()
        return Labels(entry.objects, entry.size, _from_xywh, notes, crowds, ("xywh", "pixels"))

    return read


def _from_xywh(box: Box, size: tuple[int, int]) -> Box:
    x, y, width, height = box
    return x, y, x + width, y + height


def _detect(head: bytes) -> bool:
    return b'"images"' in head or b'"annotations"' in head


def _write(folder: Path, split: Split, class_names: Sequence[str]) -> str:
    path = folder / "annotations" / f"instances_{split.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [
        CocoObjects(
            name, a.width, a.height, a.boxes, a.labels, [{"difficult": 1} if hard else {} for hard in a.difficult]
        )
        for a, name in zip(split.annotations, split.names, strict=True)
    ]
    write_text_atomically(path, json.dumps(coco_dataset(images, class_names), ensure_ascii=False))
    return path.relative_to(folder).as_posix()


COCO = Format(
    name="coco",
    title="COCO JSON",
    kind="COCO JSON",
    suffix=".json",
    detect=_detect,
    find_pairs=_find_pairs,
    write=_write,
    one_file_per_image=False,
)
