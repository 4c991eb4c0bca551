"""The splits of datasets in COCO JSON: which file is of which split, and the folder of its images."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.config.dataset_config import Folder
from utils.discovery.layout import Layout, Part, common_folder
from utils.discovery.split_names import split_folder, split_of_words
from utils.formats.coco.json_file import MAX_JSON_BYTES
from utils.formats.labelme import LABELME
from utils.names import nfc, plain_name


@dataclass(frozen=True)
class CocoSet:
    """A COCO file with its split, the folder of its images, how many are there, and its objects by class name."""

    path: Path
    split: str | None
    images_dir: Path
    images: int
    objects: dict[str, int]


def find_coco_sets(root: Path, files: Iterable[tuple[str, Path]], images: Sequence[Path]) -> list[CocoSet]:
    """Find the COCO files of boxes whose images are there."""
    found = []
    for _, path in files:
        if path.suffix.lower() == ".json" and not LABELME.holds(path):
            content = _content(path)
            names = [plain_name(str(item.get("file_name"))) for item in content.get("images", [])]
            if objects := _objects(content):
                split = split_of_words(path.stem)[0] or split_folder(path, root)[0]
                folder, count = _images_dir(root, path, split, names, images)
                if folder:
                    found.append(CocoSet(path, split, folder, count, objects))
    return found


def layout_of_coco(sets: Sequence[CocoSet]) -> tuple[Layout, list[CocoSet]]:
    """Choose a file for each split, those of instances and then those of most objects; returns the files used."""
    of_split: dict[str | None, list[CocoSet]] = defaultdict(list)
    for one in sets:
        of_split[one.split].append(one)
    best = {name: max(of, key=_rank) for name, of in of_split.items()}
    train = next(name for name in ("train", None, "val", "test") if name in best)
    val = next((name for name in ("val", "test") if name in best and name != train and train in ("train", None)), None)
    test = "test" if "test" in best and "test" not in (train, val) else None
    used = [best[train], *(best[name] for name in (val, test) if name)]
    notes = [
        f"{one.path.name}: not used, because {best[name].path.name} is of the same images"
        for name, of in of_split.items()
        for one in of
        if one is not best[name] and best[name] in used
    ]
    if train and None in best:
        notes.append(f"{best[None].path.name}: not used, because its name says no split")
    if val == "test":
        notes.append("the test file is used for validation, because there is no other")
    val_part, test_part = (_part(best[name]) if name else None for name in (val, test))
    return Layout(_part(best[train]), val_part, test_part, tuple(notes)), used


def _part(one: CocoSet) -> Part:
    return Part((Folder(one.images_dir, one.path),), one.images)


def _rank(one: CocoSet) -> tuple[bool, int, str]:
    return one.path.stem.lower().startswith("instances"), sum(one.objects.values()), one.path.name


def _content(path: Path) -> dict:
    """Return the three tables of a COCO file; {} for any other."""
    try:
        content = json.loads(path.read_bytes()) if path.stat().st_size <= MAX_JSON_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    tables = (
        {key: content.get(key) for key in ("images", "annotations", "categories")} if isinstance(content, dict) else {}
    )
    whole = all(isinstance(t, list) and all(isinstance(item, dict) for item in t) for t in tables.values())
    return tables if tables and whole else {}


def _objects(content: dict) -> dict[str, int]:
    """Count the objects with a box by class name, in the order of the ids; without Roboflow's group of all classes."""
    boxes = [item for item in content.get("annotations", []) if item.get("bbox") or item.get("segmentation")]
    if not boxes:  # captions, or images that are to be labelled
        return {}
    counts = Counter(str(item.get("category_id")) for item in boxes)
    groups = {item.get("supercategory") for item in content["categories"]}
    objects: Counter[str] = Counter()
    for item in sorted(content["categories"], key=_id):
        name, count = nfc(str(item.get("name")).strip()), counts[str(item.get("id"))]
        if count or item.get("supercategory") != "none" or name not in groups:
            objects[name] += count
    return dict(objects)


def _id(category: dict) -> tuple[bool, float, str]:
    number = category.get("id")
    return not isinstance(number, int), number if isinstance(number, int) else 0, str(number)


def _images_dir(
    root: Path, path: Path, split: str | None, names: Sequence[str], images: Sequence[Path]
) -> tuple[Path | None, int]:
    """Return the folder from which most of the file names lead to an image, and how many do."""
    by_last: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        by_last[nfc(image.name).casefold()].append(image)
    counts: Counter[Path] = Counter()
    loose: dict[Path, None] = {}
    for name in names:
        parts = tuple(part for part in name.split("/") if part not in ("", ".", ".."))
        for image in by_last.get(nfc(parts[-1]).casefold(), []) if parts else ():
            loose[image] = None
            below = image.relative_to(root).parts
            if len(parts) <= len(below) and below[-len(parts) :] == parts:
                counts[image.parents[len(parts) - 1]] += 1
    if counts:

        def rank(folder: Path) -> tuple:
            same_split = split_folder(folder / "x", root)[0] == split
            return counts[folder], same_split, folder == path.parent, -len(folder.parts)

        best = max(counts, key=rank)
        if 2 * counts[best] >= len(names):
            return best, counts[best]
    same = [image for image in loose if split is None or split_folder(image, root)[0] in (split, None)]
    return (common_folder(same), len(same)) if same else (None, 0)
