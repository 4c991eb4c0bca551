"""A split in YOLO's text files: a line per object, `class x_centre y_centre width height` in shares of the image."""

import re
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from utils.annotations.annotation import BACKGROUND, Scan
from utils.annotations.labels import Box, LabelledObject, Labels, Pair, UnitError
from utils.annotations.reading import read_pairs
from utils.errors import DatasetError
from utils.files import natural_key
from utils.formats.yolo.class_names import class_lists, numbered_names
from utils.formats.yolo.rows import OtherUnit, RowReader, numbers_of
from utils.pairing.file_tree import stem_of
from utils.pairing.label_files import pair_labels
from utils.pairing.pairing import knows_folder
from utils.suggestions import plain

MAX_TEXT_BYTES = 16 * 2**20
MAX_FAULTS = 5  # of a file in its message


def read_yolo(
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
    """Pair images with text files by stem. Class numbers count from 0 in the order of CLASSES, without background.

    `numbered` are the names of the class numbers where they are not those of CLASSES. The lists of names that tools
    leave beside the labels are looked at, too: what they contradict is an error. `kpt_shape` says what rows of more
    than four numbers are; without it, and without a data.yaml that does, they are told apart by their geometry.
    An image without a text file is a negative, as YOLO's own tools have it; it is counted. But a sub-folder of images
    that the labels know nothing of is left out: it may hold previews, or what is to be labelled. A polygon becomes the
    box around it. Arguments and faults are those of `read_voc`.
    """
    if class_names[:1] != (BACKGROUND,):
        raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {class_names!r}")
    scan = Scan()
    paired = pair_labels(scan, images_dir, labels_dir, "yolo", stems=stems, skip=skip)
    for path in paired.orphaned:
        scan.add("orphaned", paired.name(path))
    labelled = dict(paired.pairs)
    renamed, lists = renamed or {}, class_lists(images_dir, labels_dir)
    names, contradictions = numbered_names(
        lists, numbered or class_names[1:], renamed=renamed, ignored=ignored, labels_dir=labels_dir
    )
    for text in contradictions:
        scan.add("class-numbers", text)
    shapes = [kpt_shape, *(found.kpt_shape for found in lists)]
    rows = RowReader(labelled.values(), next((shape for shape in shapes if shape), None))
    numbers = ClassNumbers(names, {*class_names, *renamed, *ignored})
    pairs, extras = [], Extras()
    for image in sorted([*labelled, *paired.unlabelled], key=lambda path: natural_key(paired.name(path))):
        name = paired.name(image)
        if path := labelled.get(image):
            pairs.append(_pair(image, path, paired.name(path), numbers, rows, extras))
        elif stems is None and not knows_folder(paired, image):
            scan.add("unlabelled", f"{name}: no label in a whole folder", image=image)
        else:
            called = f"{stem_of(name)}.txt"
            pairs.append(Pair(image, labels_dir / called, called, _negative(name)))
    hint = f"CLASSES has 0 to {len(names) - 1}"
    how = {"renamed": renamed, "ignored": ignored, "progress": progress}
    scan.extend(read_pairs(pairs, class_names, title=f"Reading {images_dir.name}", hint=hint, **how))
    if numbers.count_from_one:
        count = len(names)
        # Each is one class further than it should be: the last of them are unknown, the others wrong without a word.
        scan.findings = [f for f in scan.findings if f.check != "unknown-class"]
        scan.add(
            "class-numbers",
            f"{labels_dir}: expected class numbers from 0 to {count - 1}, as CLASSES has {count} names, found {count} "
            "and no 0: these labels count from 1, or CLASSES lacks a name",
        )
    for text in extras.told(labels_dir):
        scan.add("row-extras", text)
    scan.skip_bad = skip_bad
    return scan


class ClassNumbers:
    """The names that class numbers stand for. A number without one gets a name that is like none of `taken`."""

    def __init__(self, names: Sequence[str], taken: Collection[str] = ()):
        self.names, self.taken = names, {plain(name) for name in (*names, *taken)}
        self.seen: set[int] = set()

    def name(self, number: int) -> tuple[str, bool]:
        """The name, and whether it is one."""
        self.seen.add(number)
        if number < len(self.names):
            return self.names[number], True
        text = f"number {number}"
        while plain(text) in self.taken:
            text = f"class {text}"
        return text, False

    @property
    def count_from_one(self) -> bool:
        """Whether the numbers looked up are one too high for the names, all of them as it seems."""
        return 0 not in self.seen and max(self.seen, default=0) == len(self.names) > 1 and len(self.seen) > 1


class Extras:
    """Counts the rows that were taken for more than a box, for many threads."""

    def __init__(self):
        self.rows: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, kind: str, where: str) -> None:
        with self._lock:
            self.rows[kind] += 1
            self.first.setdefault(kind, where)

    def told(self, labels_dir: Path) -> list[str]:
        return [
            f"{labels_dir}: {count} row{'s' * (count > 1)} taken for a box and {kind}, such as {self.first[kind]}"
            for kind, count in sorted(self.rows.items())
        ]


def read_yolo_file(
    path: Path, numbers: ClassNumbers, rows: RowReader, extras: Extras | None = None
) -> tuple[LabelledObject, ...]:
    """The objects of one file, boxes as (x_centre, y_centre, width, height) in shares of the image.

    What a row has beside a box is counted in `extras`. Raises DatasetError naming the file and its faults by line.
    """
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise DatasetError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_TEXT_BYTES} of any labels")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise DatasetError(f"{path}: not a text file: {error}") from error
    objects, faults, count, other_unit = [], [], 0, []
    for number, line in enumerate(text.splitlines(), 1):
        if not (words := line.split()):
            continue
        try:
            number_of_class = _label(words[0])
            box, extra = rows.box(numbers_of(words[1:]))
        except ValueError as fault:
            if isinstance(fault, OtherUnit):
                other_unit.append(LabelledObject(f"line {number}", str(number_of_class), fault.box))
            count += 1
            faults += [f"line {number}: {fault}"] if count <= MAX_FAULTS else []
            continue
        name, named = numbers.name(number_of_class)
        shown = name[:40] if named else str(number_of_class)
        objects.append(LabelledObject(f"line {number} ({shown})", name, box, named=named))
        if extra and extras:
            extras.add(extra, f"{path.name}, line {number}")
    if count:
        more = f"; … and {count - MAX_FAULTS} more" if count > MAX_FAULTS else ""
        message = f"{path}: {'; '.join(faults)}{more}"
        if len(other_unit) == count:
            raise UnitError(message, _labels((*objects, *other_unit)))
        raise DatasetError(message)
    return tuple(objects)


def _label(word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}(\.0*)?", word):  # some tools write 0.0
        raise ValueError(f"expected a class number from 0 on, found {word[:40]!r}")
    return int(word.partition(".")[0])


def _pair(image_path: Path, path: Path, name: str, numbers: ClassNumbers, rows: RowReader, extras: Extras) -> Pair:
    def read() -> Labels:
        return _labels(read_yolo_file(path, numbers, rows, extras))

    return Pair(image_path, path, name, read)


def _labels(objects: tuple[LabelledObject, ...]) -> Labels:
    return Labels(objects, to_pixels=_from_shares, layout=("centre", "shares"))


def _negative(image_name: str):
    return lambda: Labels((), notes=(("unlisted-negative", image_name),))


def _from_shares(box: Box, size: tuple[int, int]) -> Box:
    x, y, width, height = box
    return (
        (x - width / 2) * size[0],
        (y - height / 2) * size[1],
        (x + width / 2) * size[0],
        (y + height / 2) * size[1],
    )
