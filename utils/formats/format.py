"""The type of an annotation format: how its files are recognised, paired with images, read and written."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils.annotations.annotation import BACKGROUND, Annotation, Findings
from utils.annotations.labels import Labels, Pair
from utils.images.io import ImageInfo, probe_image
from utils.pairing.paired import Pairing

HEAD_BYTES = 2**16  # of a file, enough to recognise its format
MAX_HEADS = 20  # files of a folder that are opened to recognise a format


@dataclass(frozen=True)
class ReadOptions:
    """The options of reading a folder's annotations; a format ignores what it has no use for.

    | field | meaning |
    |---|---|
    | class_names | the classes, the background first |
    | stems | lines of a split list: stems, perhaps with the image's extension or VOC's second column; None without |
    | skip | folders below that belong to another split, relative to the images and to the labels, see `pair_files` |
    | renamed | names in the files that mean one of the classes |
    | ignored | classes whose objects are left out, and counted |
    | numbered | the names of YOLO's class numbers, where they are not those of `class_names` |
    | kpt_shape | the keypoints of YOLO's rows, and the numbers of each; None where nothing says it |
    | one_based | the original VOC devkit's convention: pixels counted from 1, xmax and ymax inclusive |
    | others | formats to look for where an image has no annotation, to report that formats are mixed |
    | probe | does as `probe_image` |
    """

    class_names: tuple[str, ...]
    stems: Iterable[str] | None = None
    skip: Collection[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    ignored: Collection[str] = ()
    numbered: Sequence[str] = ()
    kpt_shape: tuple[int, int] | None = None
    one_based: bool = False
    progress: bool = True
    others: Collection["Format"] = ()
    probe: Callable[[Path], ImageInfo] = probe_image

    def __post_init__(self):
        if self.class_names[:1] != (BACKGROUND,):
            raise ValueError(f"expected class_names to begin with {BACKGROUND!r}, got {self.class_names!r}")


@dataclass
class Found:
    """The pairs of a folder in natural order; `hint` ends a message on an unknown class, `finish` adds findings."""

    pairs: list[Pair]
    hint: str = ""
    finish: Callable[[Findings], None] = lambda scan: None


@dataclass(frozen=True)
class Split:
    """Annotations to write. `names[i]` is the image of `annotations[i]`, relative and with `/`; no two share a stem."""

    name: str
    annotations: Sequence[Annotation]
    names: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Format:
    """An annotation format; `formats.FORMATS` lists them.

    | field | meaning |
    |---|---|
    | name | FORMAT in the YAML, `--to` of convert_dataset.py |
    | title | what a report calls it |
    | kind, suffix | what a message calls one of its files, and how such a file ends |
    | detect | whether the first bytes of a file are of the format |
    | read_file | (path, options) -> the objects of one image's file; DatasetError names the file and its faults |
    | read_pairs | or: (findings, files paired by name, images folder, labels folder, options) -> the pairs |
    | find_pairs | for a file of a whole split: (findings, images folder, labels path, options) -> the pairs |
    | write | (folder, split, class names) -> where the annotations are, relative to the folder; the images are there |
    | image_folder | where a written dataset has its images |
    | one_file_per_image | False where one file holds a whole split |
    | sure_by_name | whether a file beside an image is of the format by its name alone |
    | is_other | whether a file of this stem holds no labels, unless an image has the very name |
    | names_classes | False where objects have numbers, whose names other files give |
    | yaml_hint | a comment in a new dataset YAML |
    | notes | what the format cannot hold of some annotations, a line each |
    | write_index | (folder, splits, class names): a file about the whole dataset |
    """

    name: str
    title: str
    kind: str
    suffix: str
    detect: Callable[[bytes], bool]
    write: Callable[[Path, Split, Sequence[str]], str]
    read_file: Callable[[Path, ReadOptions], Labels] | None = None
    read_pairs: Callable[[Findings, Pairing, Path, Path, ReadOptions], Found] | None = None
    find_pairs: Callable[[Findings, Path, Path, ReadOptions], Found] | None = None
    image_folder: str = "{split}"
    one_file_per_image: bool = True
    sure_by_name: bool = True
    is_other: Callable[[str], bool] = lambda stem: False
    names_classes: bool = True
    yaml_hint: str = ""
    notes: Callable[[Sequence[Annotation]], list[str]] = lambda annotations: []
    write_index: Callable[[Path, Sequence[Split], Sequence[str]], None] = lambda folder, splits, class_names: None

    def is_label(self, path: Path) -> bool:
        """Check whether a file is called like one of the format."""
        return path.name.lower().endswith(self.suffix) and not path.name.startswith(".")

    def holds(self, path: Path) -> bool:
        """Check whether the head of a file is of the format; a file that cannot be read is not."""
        try:
            with path.open("rb") as file:
                return self.detect(file.read(HEAD_BYTES))
        except OSError:  # reported where it is read
            return False
