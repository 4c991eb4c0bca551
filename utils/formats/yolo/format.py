"""YOLO's text files as a format: a line per object, `class x_centre y_centre width height` in shares of the image."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from utils.annotations.annotation import Annotation, Findings
from utils.annotations.labels import Box, LabelledObject, Labels, Pair, UnitError
from utils.errors import DatasetError
from utils.files import natural_key, write_text_atomically
from utils.formats.format import Format, Found, ReadOptions, Split
from utils.formats.yolo.class_names import class_lists, numbered_names
from utils.formats.yolo.rows import OtherUnit, RowReader, numbers_of
from utils.pairing.file_tree import folder_of, placeless, stem_of
from utils.pairing.paired import Pairing
from utils.suggestions import plain

MAX_TEXT_BYTES = 16 * 2**20
MAX_FAULTS = 5  # of a file in its message


def _read_pairs(scan: Findings, paired: Pairing, images_dir: Path, labels_dir: Path, options: ReadOptions) -> Found:
    """Return the pairs of images and text files.

    Class numbers count from 0 in the order of CLASSES, without background.
    The lists of names that tools leave beside the labels are read, too: what they contradict is an error. Without
    `options.kpt_shape`, and without a data.yaml that has one, rows of more than four numbers are recognised by their
    geometry. An image without a text file is a negative, as YOLO's own tools have it; it is counted. But a sub-folder
    of images that the labels know nothing of is left out: it may hold previews, or what is to be labelled. A polygon
    becomes the box around it.
    """
    class_names, renamed, ignored = options.class_names, options.renamed, options.ignored
    for path in paired.orphaned:
        scan.add("orphaned", paired.name(path))
    labelled = dict(paired.pairs)
    lists = class_lists(images_dir, labels_dir)
    names, contradictions = numbered_names(
        lists, options.numbered or class_names[1:], renamed=renamed, ignored=ignored, labels_dir=labels_dir
    )
    for text in contradictions:
        scan.add("class-numbers", text)
    shapes = [options.kpt_shape, *(found.kpt_shape for found in lists)]
    rows = RowReader(labelled.values(), next((shape for shape in shapes if shape), None))
    numbers = ClassNumbers(names, {*class_names, *renamed, *ignored})
    pairs, extras = [], Extras()
    read = partial(_read_labels, numbers=numbers, rows=rows, extras=extras)
    for image in sorted([*labelled, *paired.unlabelled], key=lambda path: natural_key(paired.name(path))):
        name = paired.name(image)
        if image in labelled:
            path = labelled[image]
            pairs.append(Pair(image, path, paired.name(path), partial(read, path)))
        elif options.stems is None and not _knows_folder(paired, image):
            scan.add("unlabelled", f"{name}: no label in a whole folder", image=image)
        else:
            called = f"{stem_of(name)}.txt"
            pairs.append(Pair(image, labels_dir / called, called, _negative(name)))
    hint = f"CLASSES has 0 to {len(names) - 1}"

    def finish(scan: Findings) -> None:
        if numbers.count_from_one:
            # Each is one class further than it should be: the last of them are unknown, the others wrong in silence.
            scan.findings = [f for f in scan.findings if f.check != "unknown-class"]
            scan.add(
                "class-numbers",
                f"{labels_dir}: expected class numbers from 0 to {len(names) - 1}, as CLASSES has {len(names)} names, "
                f"found {len(names)} and no 0: these labels count from 1, or CLASSES lacks a name",
            )
        for text in extras.lines(labels_dir):
            scan.add("row-extras", text)

    return Found(pairs, hint, finish)


def _knows_folder(paired: Pairing, image: Path) -> bool:
    """Check whether the annotations know of the folder that an image without one lies in."""
    return folder_of(placeless(paired.name(image))) in paired.labelled_folders


class ClassNumbers:
    """The names that class numbers stand for. A number without one gets a name that is like none of `taken`."""

    def __init__(self, names: Sequence[str], taken: Collection[str] = ()):
        self.names, self.taken = names, {plain(name) for name in (*names, *taken)}
        self.seen: set[int] = set()

    def name(self, number: int) -> tuple[str, bool]:
        """Return the name, and whether it is one."""
        self.seen.add(number)
        if number < len(self.names):
            return self.names[number], True
        text = f"number {number}"
        while plain(text) in self.taken:
            text = f"class {text}"
        return text, False

    @property
    def count_from_one(self) -> bool:
        """Check whether the numbers looked up are one too high for the names, all of them as it seems."""
        return 0 not in self.seen and max(self.seen, default=0) == len(self.names) > 1 and len(self.seen) > 1


class Extras:
    """Counter of the rows that were taken for more than a box, for many threads."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, kind: str, source: str) -> None:
        with self._lock:
            self.rows[kind] += 1
            self.first.setdefault(kind, source)

    def lines(self, labels_dir: Path) -> list[str]:
        """Return a line for each kind of row."""
        return [
            f"{labels_dir}: {count} row{'s' * (count > 1)} taken for a box and {kind}, such as {self.first[kind]}"
            for kind, count in sorted(self.rows.items())
        ]


def read_yolo_file(
    path: Path, numbers: ClassNumbers, rows: RowReader, extras: Extras | None = None
) -> tuple[LabelledObject, ...]:
    """Return the objects of one file, boxes as (x_centre, y_centre, width, height) in shares of the image.

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


def _read_labels(path: Path, *, numbers: ClassNumbers, rows: RowReader, extras: Extras) -> Labels:
    return _labels(read_yolo_file(path, numbers, rows, extras))


def _labels(objects: tuple[LabelledObject, ...]) -> Labels:
    return Labels(objects, to_pixels=_from_shares, layout=("centre", "shares"))


def _negative(image_name: str) -> Callable[[], Labels]:
    return lambda: Labels((), notes=(("unlisted-negative", image_name),))


def _from_shares(box: Box, size: tuple[int, int]) -> Box:
    x, y, width, height = box
    return (
        (x - width / 2) * size[0],
        (y - height / 2) * size[1],
        (x + width / 2) * size[0],
        (y + height / 2) * size[1],
    )


# --- how its files are known -----------------------------------------------------------------------------------------

# Beside the labels, but no labels: what Label Studio, labelImg and others export with them.
OTHER_TEXTS = frozenset("classes predefined_classes labels notes readme obj train val valid test".split())

_ROW = re.compile(rb"\s*\d+(\.0*)?(\s+[-+]?[0-9.]+(e[-+]?\d+)?){4,}\s*", re.IGNORECASE)


def _is_other_text(stem: str) -> bool:
    return stem.lower() in OTHER_TEXTS or stem.lower().startswith("readme.")


def _detect(head: bytes) -> bool:
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines()[:20] if line.strip()]
    return bool(lines) and all(_ROW.fullmatch(line) for line in lines[:-1] or lines)


# --- writing ---------------------------------------------------------------------------------------------------------


def _write(folder: Path, split: Split, class_names: Sequence[str]) -> str:
    labels_dir = folder / "labels" / split.name
    labels_dir.mkdir(parents=True, exist_ok=True)
    for annotation, name in zip(split.annotations, split.names, strict=True):
        x1, y1, x2, y2 = annotation.boxes.astype(np.float64).T
        width, height = annotation.width, annotation.height
        rows = np.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height], axis=1)
        lines = [
            f"{label - 1} {' '.join(map(repr, row))}\n"
            for label, row in zip(annotation.labels.tolist(), rows.tolist(), strict=True)
        ]
        path = (labels_dir / name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    return f"labels/{split.name}"


def _write_data_yaml(folder: Path, splits: Sequence[Split], class_names: Sequence[str]) -> None:
    """Write the data.yaml that YOLO's own tools read."""
    values = {split.name: f"images/{split.name}" for split in splits}
    names = dict(enumerate(class_names[1:]))
    text = yaml.safe_dump({"path": ".", **values, "names": names}, allow_unicode=True, sort_keys=False)
    write_text_atomically(folder / "data.yaml", text)


def _notes(annotations: Sequence[Annotation]) -> list[str]:
    difficult = sum(int(annotation.difficult.sum()) for annotation in annotations)
    return [f"{difficult} objects are difficult, which YOLO's format cannot say"] if difficult else []


YOLO = Format(
    name="yolo",
    title="YOLO text",
    kind="text file",
    suffix=".txt",
    detect=_detect,
    read_pairs=_read_pairs,
    write=_write,
    image_folder="images/{split}",
    is_other=_is_other_text,
    names_classes=False,
    notes=_notes,
    write_index=_write_data_yaml,
)
