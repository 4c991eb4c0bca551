"""A split in COCO's JSON for object detection."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from utils.annotations.annotation import BACKGROUND, Scan
from utils.annotations.labels import Box, Labels, Pair
from utils.annotations.reading import read_pairs
from utils.errors import DatasetError
from utils.files import natural_key
from utils.formats.coco.file_names import ImageFinder, inside
from utils.formats.coco.json_file import CocoImage, read_coco_file
from utils.images.io import is_image
from utils.names import nfc
from utils.pairing.file_tree import FileTree, folder_of, stem_of
from utils.pairing.split_lists import listed_names


def read_coco(
    images_dir: Path,
    json_path: Path,
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
    """The images that a COCO file lists, from `images_dir` or folders below it.

    A category is a class by its name. An image without annotations is a negative; one that the file does not list is
    unlabelled. Crowd regions are left out, and counted. `json_path` may be a folder that holds one JSON file.
    Arguments and faults are those of `read_voc`; raises DatasetError where the file cannot be read at all.
    """
    if class_names[:1] != (BACKGROUND,):
        raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {class_names!r}")
    json_path = json_file(json_path)
    scan, pairs, content = Scan(), [], read_coco_file(json_path)
    for text in content.faults:
        scan.add("annotation-unreadable", text)
    entries = sorted(content.images, key=lambda entry: natural_key(entry.file_name))
    if stems is not None:
        names = {name for entry in entries for name in (entry.file_name, stem_of(entry.file_name))}
        wanted = listed_names(scan, stems, names, f"{json_path} has no such image")
        entries = [e for e in entries if e.file_name in wanted or stem_of(e.file_name) in wanted]
    finder = ImageFinder(images_dir, skip)
    of_path: dict[Path, list[tuple[bool, CocoImage]]] = {}
    for entry in entries:
        path, is_own_name = finder.find(entry.file_name)
        if path:
            of_path.setdefault(path, []).append((is_own_name, entry))
        elif inside(images_dir, entry.file_name) is None:
            where = f"{json_path}: image {entry.file_name!r:.200}"
            scan.add("annotation-unreadable", f"{where}: expected a path inside {images_dir}")
        else:
            scan.add("orphaned", f"{json_path.name}: image {entry.file_name}")
    gone = {nfc(name) for name in (*ignored, *(old for old, new in (renamed or {}).items() if new in ignored))}
    for path, found in of_path.items():
        if entry := _entry_of(scan, path, found, json_path):
            where = f"{json_path}: image {entry.file_name!r:.200}"
            pairs.append(Pair(path, where, f"{json_path.name}: image {entry.file_name}", _reader(entry, where, gone)))
    if stems is None:
        _tell_unlisted(scan, finder.tree, set(of_path), json_path)
    how = {"renamed": renamed or {}, "ignored": ignored, "progress": progress}
    scan.extend(read_pairs(pairs, class_names, title=f"Reading {images_dir.name}", **how))
    scan.skip_bad = skip_bad
    return scan


def _entry_of(scan: Scan, path: Path, found: list[tuple[bool, CocoImage]], json_path: Path) -> CocoImage | None:
    """The entry of an image, of all that mean it, and whether each has its very name; None where they differ."""
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


def _tell_unlisted(scan: Scan, tree: FileTree, listed: set[Path], json_path: Path) -> None:
    """Images that the file does not list; a folder of which it lists none is told as one."""
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
    """The file itself, or the only JSON file of a folder."""
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() == ".json" and not file.name.startswith("."))
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:5]) or "none"
        raise DatasetError(f"{path}: expected one COCO JSON file, found {names}; name the file itself")
    return found[0]


def _reader(entry: CocoImage, where: str, gone: Collection[str]):
    """What reads the entry; crowd regions of the classes in `gone` are left out like their objects."""
    crowds = sum(nfc(name) not in gone for name in entry.crowds)

    def read() -> Labels:
        if entry.faults:
            more = f"; … and {len(entry.faults) - 5} more" if len(entry.faults) > 5 else ""
            raise DatasetError(f"{where}: {'; '.join(entry.faults[:5])}{more}")
        notes = (("crowd", f"{entry.file_name}: {crowds} crowd regions"),) if crowds else ()
        return Labels(entry.objects, entry.size, _from_xywh, notes, crowds, ("xywh", "pixels"))

    return read


def _from_xywh(box: Box, size: tuple[int, int]) -> Box:
    x, y, width, height = box
    return x, y, x + width, y + height
