"""The splits of datasets that have an annotation file for each image: VOC XML, YOLO text, LabelMe JSON."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from utils.config.dataset_config import Folder
from utils.discovery.layout import Layout, Part, common_folder
from utils.discovery.split_names import count_listed, find_split_lists, split_folder
from utils.pairing.file_tree import FileTree
from utils.pairing.pairing import pair_names

Pairs = Sequence[tuple[Path, Path]]  # image, annotation file


def find_pairs(
    root: Path,
    images: Sequence[tuple[str, Path]],
    labels: Sequence[tuple[str, Path]],
    is_other: Callable[[str], bool],
) -> Pairs:
    """Pair images with annotation files; in folders of unknown names, by the files' names alone."""
    pairs = pair_names(images, labels, is_other)
    if 2 * len(pairs) >= min(len(images), len(labels)):
        return pairs
    of_key: dict[tuple[str | None, str], list[Path]] = defaultdict(list)
    of_stem: dict[str, list[Path]] = defaultdict(list)
    for _, path in images:
        of_key[split_folder(path, root)[0], path.stem.casefold()].append(path)
        of_stem[path.stem.casefold()].append(path)
    by_name = []
    for _, path in labels:
        stem = path.stem.casefold()
        found = of_key.get((split_folder(path, root)[0], stem)) or of_stem.get(stem, [])
        if len(found) == 1:
            by_name.append((found[0], path))
    return max(pairs, by_name, key=len)


def layout_of_pairs(tree: FileTree, images: Sequence[Path], pairs: Pairs, *, bare_count: bool) -> Layout:
    """Find the splits by the names of folders, else by lists; else there is one part, to be divided.

    Args:
        bare_count: whether an image without an annotation file counts, as one without objects.
    """
    groups: dict[str | None, dict[Path, list[tuple[Path, Path]]]] = defaultdict(lambda: defaultdict(list))
    for image, label in pairs:
        name, folder = split_folder(image, tree.root)
        groups[name][folder].append((image, label))
    labelled = {image for image, _ in pairs}
    counted = labelled | (_beside(images, labelled) if bare_count else set())

    def part(name: str | None) -> Part:
        folders = tuple(_folder(of_folder) for of_folder in groups[name].values())
        return Part(folders, sum(split_folder(image, tree.root)[0] == name for image in counted))

    found = groups.keys()
    by_folders = "train" in found and found & {"val", "test"}
    if not by_folders and (listed := _layout_of_lists(tree, sorted(counted), pairs)):
        return listed
    train = next(name for name in ("train", None, "val", "test") if name in found)
    val = next((name for name in ("val", "test") if name in found and name != train and train in ("train", None)), None)
    test = part("test") if "test" in found and "test" not in (train, val) else None
    outside = part(None).images if None in found and train is not None else 0
    notes = [f"{outside} images outside of the folders of the splits are left out"] if outside else []
    if val == "test":
        notes.append("the test folder is used for validation, because there is no other")
    return Layout(part(train), part(val) if val else None, test, tuple(notes))


def _folder(pairs: Pairs, list_path: Path | None = None) -> Folder:
    return Folder(common_folder(image for image, _ in pairs), common_folder(label for _, label in pairs), list_path)


def _beside(images: Sequence[Path], labelled: set[Path]) -> set[Path]:
    """Return the images in folders that have labelled ones."""
    folders = {image.parent for image in labelled}
    return {image for image in images if image.parent in folders}


def _layout_of_lists(tree: FileTree, images: Sequence[Path], pairs: Pairs) -> Layout | None:
    found = find_split_lists(tree.files, images)
    rows = []
    for base, lists in found.items():  # several: the years of Pascal VOC, each with its images and lists
        of_base = pairs if len(found) == 1 else [pair for pair in pairs if pair[0].is_relative_to(base)]
        if not of_base:
            return None
        train = lists.get("train") or lists.get("trainval")
        val = lists.get("val") if "train" in lists else None
        rows.append((of_base, {"train": train, "val": val or lists.get("test"), "test": lists.get("test")}))
    if not rows or not all(lists["train"] for _, lists in rows):
        return None
    is_divided = not all(lists["val"] for _, lists in rows)
    tests_validate = not is_divided and any(lists["val"] == lists["test"] for _, lists in rows)

    def part(name: str) -> Part:
        folders = tuple(_folder(of_base, lists[name]) for of_base, lists in rows if lists[name])
        return Part(folders, sum(count_listed(f.list_path, images, f.images_dir) for f in folders if f.list_path))

    return Layout(
        part("train"),
        None if is_divided else part("val"),
        None if tests_validate or not any(lists["test"] for _, lists in rows) else part("test"),
        ("the list test.txt is used for validation, because there is no other",) if tests_validate else (),
    )
