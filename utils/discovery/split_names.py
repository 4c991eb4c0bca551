"""Names of folders and files that say which split they hold, and the text files that list the images of one."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from utils.annotations.scan_result import Scan
from utils.errors import DatasetError
from utils.pairing.file_tree import is_kind, stem_of
from utils.pairing.split_lists import listed_names
from utils.pairing.text_lists import read_split_list

SPLIT_OF = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
FILLERS = frozenset("set data dataset split obj part".split())  # beside the split's name: obj_train_data
LIST_FOLDERS = frozenset("main imagesets splits split lists sets".split())
SAMPLED = 50  # lines of a text file that show whether it lists images


def split_of_words(text: str) -> tuple[str | None, list[str]]:
    """Return the split that the words of a name say, None without one, and the words that say something else."""
    words = [word for word in re.split(r"[^a-z]+", text.lower()) if word]
    found = [SPLIT_OF[word] for word in words if word in SPLIT_OF]
    rest = [word for word in words if word not in SPLIT_OF and word not in FILLERS and not is_kind(word)]
    first = next((name for name in ("train", "test", "val") if name in found), None)  # train_val; test-dev2017
    return first, rest


def split_folder(path: Path, root: Path) -> tuple[str | None, Path]:
    """Return the split that a file's folders below `root` say, and the folder that says it; (None, root) without."""
    folder = root
    for part in path.relative_to(root).parts[:-1]:
        folder /= part
        name, rest = split_of_words(part)
        if name and not rest:
            return name, folder
    return None, root


def find_split_lists(files: Iterable[tuple[str, Path]], images: Sequence[Path]) -> dict[Path, dict[str, Path]]:
    """Find the text files that are called like a split and list images.

    Returns the folder of the dataset that the lists are of -> name of the list, "train", "trainval" … -> its path.
    """
    stems = {path.stem.casefold() for path in images}
    found: dict[Path, dict[str, Path]] = {}
    order = sorted(files, key=lambda file: ("/main/" not in f"/{file[0].lower()}", file[0].count("/")))
    for path in (path for _, path in order):
        stem = path.stem.lower()
        if path.suffix.lower() != ".txt" or stem not in SPLIT_OF or path.stem.casefold() in stems:
            continue
        try:
            lines = read_split_list(path)[:SAMPLED]
        except DatasetError:  # no text
            continue
        hits = sum(_last_name(line) in stems or stem_of(_last_name(line)) in stems for line in lines)
        if lines and hits * 2 >= len(lines):
            base = path.parent
            while base.name.lower() in LIST_FOLDERS and base != base.parent:
                base = base.parent
            found.setdefault(base, {}).setdefault("trainval" if stem == "trainval" else SPLIT_OF[stem], path)
    return found


def _last_name(line: str) -> str:
    """Return the name in a line of a list, without folders and VOC's second column."""
    return re.sub(r"\s+(-1|0|1)$", "", line).replace("\\", "/").rpartition("/")[2].casefold()


def count_listed(list_path: Path, images: Iterable[Path], images_dir: Path) -> int:
    """Count the images below a folder that a list means."""
    names = [path.relative_to(images_dir).as_posix() for path in images if path.is_relative_to(images_dir)]
    known = {*names, *(stem_of(name) for name in names)}
    listed = listed_names(Scan(), read_split_list(list_path), known, "")
    return sum(name in listed or stem_of(name) in listed for name in names)
