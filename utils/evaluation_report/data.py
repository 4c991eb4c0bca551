"""The shape of an evaluation as plain types, which JSON holds, too: of all parts only those that are there are shown.

What is unknown is left out or None; NaN counts as None. Boxes are x, y, width, height in pixels of the upright image.
"""

from typing import TypedDict


class Number(TypedDict, total=False):
    """A result with its 95 % interval, 0 to 1 unless `unit` says otherwise, and what it means in words."""

    name: str
    value: float | None
    interval: list[float] | None
    meaning: str
    unit: str  # "ms" for milliseconds


class ClassRow(TypedDict, total=False):
    """The results of one class."""

    name: str
    images: int
    objects: int
    ap: float | None
    ap_interval: list[float] | None
    ap50: float | None
    ap50_interval: list[float] | None
    ar: float | None
    threshold: float | None


class CurveData(TypedDict, total=False):
    """Counts at falling scores, `Curve.to_dict()`: row i is of the detections with a score of at least scores[i]."""

    label: int | None  # None: all classes together
    objects: int
    scores: list[float]
    tp: list[int]
    fp: list[int]
    precision: list[float | None]
    recall: list[float | None]
    f1: list[float | None]


class ConfusionData(TypedDict):
    """Matrices of `confusion_matrix` at rising thresholds: counts[t][annotated][found] by label, background 0."""

    thresholds: list[float]
    counts: list[list[list[int]]]


class ErrorKindsData(TypedDict):
    """`ErrorKinds.to_dict()`: counts and gains in AP50 by kind."""

    ap50: float | None
    counts: dict[str, int]
    costs: dict[str, float | None]


class MissRowData(TypedDict):
    """The objects of a group, and how many of them are missed."""

    name: str
    objects: int
    missed: int


class MissTableData(TypedDict):
    """`dataclasses.asdict` of a `MissTable`."""

    title: str
    rows: list[MissRowData]


class CalibrationBin(TypedDict):
    """Detections with a score of low to high: their mean score, and the share that is right."""

    low: float
    high: float
    count: int
    confidence: float | None
    precision: float | None


class CalibrationData(TypedDict, total=False):
    """The reliability curve and the expected calibration error, before and after calibrating."""

    bins: list[CalibrationBin]
    ece: float | None
    ece_calibrated: float | None


class ShownObject(TypedDict):
    """An annotated object; `found` is the score of the detection that finds it, None where none does."""

    box: list[float]
    label: int
    found: float | None


class ShownDetection(TypedDict):
    """A detection; `kind` is "correct", "ignored" or one of `error_kinds.KINDS`."""

    box: list[float]
    label: int
    score: float
    kind: str


class ShownImage(TypedDict, total=False):
    """An image of the gallery, `boxes_to_draw()` with its path; `name` stands below it."""

    path: str
    name: str
    cost: float  # at the threshold at which the page opens
    objects: list[ShownObject]
    detections: list[ShownDetection]


class LabelError(TypedDict, total=False):
    """An annotation that may be wrong, the surer the higher `score`; its box, and the box that may be right."""

    path: str
    name: str
    kind: str
    text: str
    score: float
    box: list[float] | None
    better_box: list[float] | None


class TableData(TypedDict):
    """A table: `heads` of all columns, the first one for the names of the rows."""

    title: str
    heads: list[str]
    rows: list[list[str | int | float | None]]


class Command(TypedDict):
    """A command to run, and what for."""

    purpose: str
    command: str


class ReportData(TypedDict, total=False):
    """All that a report may show.

    | key | meaning |
    |---|---|
    | title | name of the run or the weights |
    | created | date and time, as text |
    | model, split | name of the model; name of the split, and its count of images as `images` |
    | verdict | sentences for everybody, the first one is the headline |
    | cautions | sentences: what limits the verdict |
    | numbers | the results that stand on top |
    | coco | COCO's twelve numbers by `coco_metrics`' keys |
    | class_names | without the background: label 1 is the first |
    | iou | overlap from which on a box is right, of curves, confusion, gallery |
    | threshold, threshold_reason | the score at which the page opens, and why; misses are counted at it |
    | error_kinds, wrong_by_score | `ErrorKinds.to_dict()`, and `wrong_by_score()` |
    | misses, miss_sentences | tables, and sentences on groups that stand out |
    | gallery | the worst images first |
    | label_errors | the most suspicious first |
    | epochs | records of `metrics.jsonl` with "epoch", `train/…` and `val/…` |
    | best_epoch | the epoch whose weights these are |
    | dataset | tables of counts |
    | limits | sentences for the model card: where not to use it |
    | settings, versions, git, fingerprint | names and values as text |
    | commands | how to repeat and to use it |
    """

    title: str
    created: str
    model: str
    split: str
    images: int
    verdict: list[str]
    cautions: list[str]
    numbers: list[Number]
    coco: dict[str, float | None]
    class_names: list[str]
    classes: list[ClassRow]
    iou: float
    threshold: float
    threshold_reason: str
    curves: list[CurveData]
    confusion: ConfusionData
    error_kinds: ErrorKindsData
    wrong_by_score: dict[str, list[int]]
    misses: list[MissTableData]
    miss_sentences: list[str]
    calibration: CalibrationData
    gallery: list[ShownImage]
    label_errors: list[LabelError]
    epochs: list[dict[str, float | None]]
    best_epoch: int
    dataset: list[TableData]
    limits: list[str]
    settings: dict[str, str]
    versions: dict[str, str]
    git: dict[str, str]
    fingerprint: dict[str, str]
    commands: list[Command]
