"""The console and `train.log`: one logger for both."""

import logging
import sys
from logging.handlers import MemoryHandler
from pathlib import Path

from tqdm import tqdm

from utils.cli.script import reader_gone
from utils.errors import ToolkitError, printable
from utils.runs.loggers import end_last_line


class _TqdmHandler(logging.Handler):
    """A handler that prints by way of tqdm, which takes its bars off the screen while a line is printed."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(printable(self.format(record)))  # it may hold names of files
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
    """Append what `logger` has reported since `setup_logging`, and from now on, to `path` with time stamps.

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
    """Write to `train.log` alone, where there is one: what standard error has already."""
    logger = logging.getLogger("train")
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(logger.makeRecord(logger.name, logging.ERROR, "", 0, text, (), None))


def log_folder() -> Path | None:
    """Return the run's folder, once `attach_log_file` has been called in this process."""
    handlers = logging.getLogger("train").handlers
    return next((Path(h.baseFilename).parent for h in handlers if isinstance(h, logging.FileHandler)), None)


def _remove_handlers(logger: logging.Logger, kinds: tuple[type[logging.Handler], ...]) -> None:
    for handler in list(logger.handlers):
        if isinstance(handler, kinds):
            logger.removeHandler(handler)
            handler.close()
