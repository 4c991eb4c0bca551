"""What training prints: one row per epoch, and a table per class at the end."""

from collections.abc import Mapping, Sequence

from utils.few import FEW_OBJECTS, MARK, is_few

_COLUMNS = (  # heading, key, format
    ("loss", "train/loss", "8.4f"),
    ("classifier", "train/loss_classifier", "10.4f"),
    ("box_reg", "train/loss_box_reg", "8.4f"),
    ("objectness", "train/loss_objectness", "10.4f"),
    ("rpn_box", "train/loss_rpn_box_reg", "8.4f"),
    ("val loss", "val/loss", "8.4f"),
    ("AP", "val/map_50_95", "7.4f"),
    ("AP50", "val/map_50", "7.4f"),
    ("AP75", "val/map_75", "7.4f"),
    ("lr", "lr", "8.2g"),
    ("seconds", "time/epoch_s", "7.1f"),
    ("waits", "time/data_share", "5.0%"),
)


def epoch_header() -> str:
    return "   epoch " + " ".join(heading.rjust(_width(form)) for heading, _, form in _COLUMNS)


def epoch_row(record: Mapping[str, float], epochs: int, *, best: str | None, rough: bool = False) -> str:
    """One epoch's record as a row under `epoch_header()`.

    Where averaged weights were scored, their AP follows. `best` says which weights, "raw" or "ema", are the best so
    far; None where neither is. `rough` scores, of a class with few objects to validate on, have two digits and a mark.
    """
    cells = " ".join(
        _cell(record.get(key), form, rough=rough and heading.startswith("AP")) for heading, key, form in _COLUMNS
    )
    averaged = f"  EMA AP {_cell(record['ema/map_50_95'], '.4f', rough=rough)}" if "ema/map_50_95" in record else ""
    mark = {None: "", "raw": "  best", "ema": "  best (EMA)"}[best]
    return f"{record['epoch']:4d}/{epochs:<3d} {cells}{averaged}{mark}"


def _cell(value: float | None, form: str, *, rough: bool = False) -> str:
    if value is None or value == -1:  # COCO's -1: nothing was there to measure
        return "-".rjust(_width(form))
    return f"{value:.2f}{MARK}".rjust(_width(form)) if rough else format(value, form)


def _width(form: str) -> int:
    return int(form.split(".")[0] or 1)


def class_table(
    metrics: Mapping[str, float], class_names: Sequence[str], objects: Sequence[int], *, counted: int = 100
) -> list[str]:
    """COCO's summary and AP per class.

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
    lines += [
        f"{name:<{width}}  {count:7d} {_cell(ap, '7.4f', rough=rough)} {_cell(ap_50, '7.4f', rough=rough)}"
        for name, count, ap, ap_50, rough in rows
    ]

    def told(values: Mapping[str, float]) -> str:
        return ", ".join(f"{what} {_cell(value, '.4f', rough=bool(few))}" for what, value in values.items())

    lines += [
        f"AP by object size: {told({size: metrics[f'val/map_{size}'] for size in ('small', 'medium', 'large')})}",
        f"recall by detections per image: {told({str(n): metrics[f'val/mar_{n}'] for n in (1, 10, 100)})}",
    ]
    if few:
        lines.append(
            f"{MARK} fewer than {FEW_OBJECTS} objects to validate on ({', '.join(few)}): a few more images may give "
            "another score"
        )
    if "val/map_50_95_at_100" in metrics:
        own = told({"AP": metrics["val/map_50_95_at_100"], "AP50": metrics["val/map_50_at_100"]})
        lines.append(f"AP counts {counted} detections of an image and class; with COCO's own limit of 100: {own}")
    return lines
