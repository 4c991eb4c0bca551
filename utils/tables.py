"""What training prints: one row per epoch, and a table per class at the end."""

from collections.abc import Mapping, Sequence

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


def epoch_row(record: Mapping[str, float], epochs: int, *, best: str | None) -> str:
    """One epoch's record as a row under `epoch_header()`.

    Where averaged weights were scored, their AP follows. `best` says which weights, "raw" or "ema", are the best so
    far; None where neither is.
    """
    cells = " ".join(_cell(record.get(key), form) for _, key, form in _COLUMNS)
    averaged = f"  EMA AP {_cell(record['ema/map_50_95'], '.4f')}" if "ema/map_50_95" in record else ""
    mark = {None: "", "raw": "  best", "ema": "  best (EMA)"}[best]
    return f"{record['epoch']:4d}/{epochs:<3d} {cells}{averaged}{mark}"


def _cell(value: float | None, form: str) -> str:
    if value is None or value == -1:  # COCO's -1: nothing was there to measure
        return "-".rjust(_width(form))
    return format(value, form)


def _width(form: str) -> int:
    return int(form.split(".")[0] or 1)


def class_table(metrics: Mapping[str, float], class_names: Sequence[str], objects: Sequence[int]) -> list[str]:
    """COCO's summary and AP per class; `objects` counts the validation objects of each class, background included."""
    width = max(len("all"), *(len(name) for name in class_names[1:]))
    lines = [f"{'class':<{width}}  objects      AP    AP50"]
    rows = [("all", sum(objects), metrics["val/map_50_95"], metrics["val/map_50"])]
    rows += [
        (name, objects[label], metrics.get(f"val/ap/{name}", -1.0), metrics.get(f"val/ap_50/{name}", -1.0))
        for label, name in enumerate(class_names)
        if label
    ]
    lines += [
        f"{name:<{width}}  {count:7d} {_cell(ap, '7.4f')} {_cell(ap_50, '7.4f')}" for name, count, ap, ap_50 in rows
    ]
    sizes = ", ".join(f"{size} {_cell(metrics[f'val/map_{size}'], '.4f')}" for size in ("small", "medium", "large"))
    recall = ", ".join(f"{n} {_cell(metrics[f'val/mar_{n}'], '.4f')}" for n in (1, 10, 100))
    lines += [f"AP by object size: {sizes}", f"recall by detections per image: {recall}"]
    return lines
