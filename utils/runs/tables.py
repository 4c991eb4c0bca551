"""Tables that a training prints: one row per epoch, and AP per class at the end."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from utils.metrics import FEW_OBJECTS, MARK, is_few

COMPONENTS_FROM = 110  # columns of a terminal; narrower ones show the sum of the losses alone


@dataclass(frozen=True)
class _Column:
    heading: str
    key: str
    form: str  # of the number
    width: int
    wide: bool = False  # shown where there is room


_EPOCH = 8  # columns of "  12/50 "
_COLUMNS = (
    _Column("loss", "train/loss", ".4f", 7),
    _Column("class", "train/loss_classifier", ".4f", 6, wide=True),
    _Column("box", "train/loss_box_reg", ".4f", 6, wide=True),
    _Column("object", "train/loss_objectness", ".4f", 6, wide=True),
    _Column("rpn box", "train/loss_rpn_box_reg", ".4f", 7, wide=True),
    _Column("val loss", "val/loss", ".4f", 8),
    _Column("AP", "val/map_50_95", ".4f", 6),
    _Column("AP50", "val/map_50", ".4f", 6),
    _Column("AP75", "val/map_75", ".4f", 6, wide=True),
    _Column("EMA AP", "ema/map_50_95", ".4f", 6),
    _Column("lr", "lr", ".2g", 7),
    _Column("seconds", "time/epoch_s", ".1f", 7),
    _Column("data wait", "time/data_share", ".0%", 9),
)


class EpochTable:
    """Rows of epochs under a header, as wide as the terminal allows.

    Args:
        epochs: of the whole run.
        ema: whether averaged weights are scored, too; then the best epoch's mark says which weights it is for.
        rough: of a class with few objects to validate on; its scores have two digits and a mark.
        width: columns of the terminal; None for as many as there are to show.
    """

    def __init__(self, epochs: int, *, ema: bool = False, rough: bool = False, width: int | None = None):
        self.epochs, self.ema, self.rough = epochs, ema, rough
        columns = [column for column in _COLUMNS if ema or column.heading != "EMA AP"]
        self.columns = [column for column in columns if not column.wide]
        components = [column for column in columns if column.key.startswith("train/loss_")]
        others = [column for column in columns if column.wide and column not in components]
        for more in (components, others):
            chosen = [column for column in columns if column in self.columns or column in more]
            if width is None or (width >= COMPONENTS_FROM and _table_width(chosen) <= width):
                self.columns = chosen

    def header(self) -> str:
        """Return the line of headings."""
        best = " best" if self.ema else ""
        return "epoch".rjust(_EPOCH - 1) + " " + " ".join(c.heading.rjust(c.width) for c in self.columns) + best

    def row(self, record: Mapping[str, float], *, best: str | None) -> str:
        """Return an epoch's record as a row; `best` names the weights, "raw" or "ema", that are the best so far."""
        cells = [
            score_text(record.get(c.key), c.form, c.width, rough=self.rough and "AP" in c.heading) for c in self.columns
        ]
        mark = {None: "", "raw": "  raw" if self.ema else " best", "ema": "  EMA"}[best]
        number = f"{record['epoch']:>{_EPOCH - 2 - len(str(self.epochs))}}/{self.epochs}"
        return f"{number} {' '.join(cells)}{mark}"


def _table_width(columns: Sequence[_Column]) -> int:
    return _EPOCH + sum(column.width for column in columns) + len(columns) - 1 + len(" best")


def terminal_width() -> int | None:
    """Return the columns of the terminal that is standard output; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None


def score_text(value: float | None, form: str, width: int, *, rough: bool = False) -> str:
    """Return a number right-aligned; two digits and a mark where it is rough, "-" for COCO's -1: nothing to measure."""
    if value is None or value == -1:
        return "-".rjust(width)
    return (f"{value:.2f}{MARK}" if rough else format(value, form)).rjust(width)


def class_table(
    metrics: Mapping[str, float], class_names: Sequence[str], objects: Sequence[int], *, counted: int = 100
) -> list[str]:
    """Return COCO's summary and AP per class.

    Args:
        objects: validation objects of each class, background included; where they are few, scores have two digits and
            a mark.
        counted: detections of an image and class that AP counts; where that is not COCO's 100, COCO's own AP follows.
    """
    width = max(len("all"), *(len(name) for name in class_names[1:]))
    few = [name for name, count in zip(class_names, objects, strict=True) if is_few(count)]
    lines = [f"{'class':<{width}}  objects      AP    AP50"]
    rows = [("all", sum(objects), metrics["val/map_50_95"], metrics["val/map_50"], bool(few))]
    rows += [
        (name, count, metrics.get(f"val/ap/{name}", -1.0), metrics.get(f"val/ap_50/{name}", -1.0), name in few)
        for name, count in list(zip(class_names, objects, strict=True))[1:]
    ]
    for name, count, *aps, rough in rows:
        cells = " ".join(score_text(ap, ".4f", 7, rough=rough) for ap in aps)
        lines.append(f"{name:<{width}}  {count:7d} {cells}")

    def scores(values: Mapping[str, float]) -> str:
        return ", ".join(f"{name} {score_text(value, '.4f', 1, rough=bool(few))}" for name, value in values.items())

    lines += [
        f"AP by object size: {scores({size: metrics[f'val/map_{size}'] for size in ('small', 'medium', 'large')})}",
        "average recall (AR@[.50:.95]) by detections per image: "
        + scores({str(n): metrics[f"val/mar_{n}"] for n in (1, 10, 100)}),
    ]
    if few:
        lines.append(
            f"{MARK} fewer than {FEW_OBJECTS} objects to validate on ({', '.join(few)}): a few more images may give "
            "another score"
        )
    if "val/map_50_95_at_100" in metrics:
        own = scores({"AP": metrics["val/map_50_95_at_100"], "AP50": metrics["val/map_50_at_100"]})
        lines.append(f"AP counts {counted} detections of an image and class; with COCO's own limit of 100: {own}")
    return lines
