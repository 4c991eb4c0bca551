"""What training prints: one row per epoch, and a table per class at the end."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from logging.handlers import MemoryHandler
from pathlib import Path

from tqdm import tqdm

from utils.cli.script import reader_gone
from utils.errors import ToolkitError
from utils.metrics import FEW_OBJECTS, MARK, is_few
from utils.runs.loggers import end_last_line

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


class _TqdmHandler(logging.Handler):
    """Standard output by way of tqdm, which takes its bars off the screen while a line is printed."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record))
            sys.stdout.flush()
        except BrokenPipeError:  # nobody reads any more: the script is to end, once
            raise
        except (OSError, ValueError):  # a terminal that is gone, or one without the character
            if not reader_gone():
                self.handleError(record)


def setup_logging(*, warnings_only: bool = False) -> logging.Logger:
    """Return the logger "train": plain messages on stdout, and all of them kept until `attach_log_file`.

    Calling it again starts anew with one console handler and no file; messages that no file has yet are kept.
    """
    logger = logging.getLogger("train")
    if any(isinstance(handler, MemoryHandler) for handler in logger.handlers):
        return logger
    _remove_handlers(logger, (_TqdmHandler, logging.FileHandler))
    if hasattr(sys.stdout, "reconfigure"):  # a class name that the console cannot encode is shown escaped
        sys.stdout.reconfigure(errors="backslashreplace")
    logger.setLevel(logging.WARNING if warnings_only else logging.INFO)
    logger.propagate = False
    logger.addHandler(_TqdmHandler())
    # A MemoryHandler without a target keeps everything, whatever its capacity.
    logger.addHandler(MemoryHandler(capacity=1, flushLevel=logging.CRITICAL + 1))
    return logger


def attach_log_file(logger: logging.Logger, path: Path) -> None:
    """Append what `logger` has said since `setup_logging`, and from now on, to `path` with time stamps.

    A file attached before is closed and no longer written.

    Raises:
        ToolkitError: the file cannot be opened.
    """
    try:
        end_last_line(Path(path))
        log_file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ToolkitError(f"{path} cannot be opened for writing: {error}") from error
    log_file.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
    for handler in logger.handlers:
        if isinstance(handler, MemoryHandler):
            handler.setTarget(log_file)
            handler.flush()
    _remove_handlers(logger, (MemoryHandler, logging.FileHandler))
    logger.addHandler(log_file)


def note_in_file(text: str) -> None:
    """Into `train.log` alone, where there is one: what the console has been told in another way."""
    logger = logging.getLogger("train")
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(logger.makeRecord(logger.name, logging.ERROR, "", 0, text, (), None))


def log_folder() -> Path | None:
    """The run's folder, once `attach_log_file` has been called in this process."""
    handlers = logging.getLogger("train").handlers
    return next((Path(h.baseFilename).parent for h in handlers if isinstance(h, logging.FileHandler)), None)


def note(text: str) -> None:
    """Tell what was decided where two readings were possible: in a training's log, else on standard error."""
    if os.environ.get("RANK", "0") == "0":  # one process of a group speaks
        logging.getLogger("train").warning(f"note: {text}")


def _remove_handlers(logger: logging.Logger, kinds: tuple[type[logging.Handler], ...]) -> None:
    for handler in list(logger.handlers):
        if isinstance(handler, kinds):
            logger.removeHandler(handler)
            handler.close()
