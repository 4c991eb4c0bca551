"""Opens what `--input` of inference_video.py means, and names its results."""

import re
from pathlib import Path

from utils.video.decoding.container import VideoError, is_address, open_container, without_password
from utils.video.decoding.reader import VideoReader
from utils.video.decoding.sequences import SequenceReader, find_sequence, read_animation, read_sequence
from utils.video.live import Address, Camera, LiveReader, network_options

PLAYLISTS = frozenset({"hls", "dash"})  # their size is that of a text, whatever it refers to


def open_source(
    source: str,
    *,
    every: int = 1,
    start: float = 0.0,
    end: float | None = None,
    reconnects: int = 5,
    fps: float | None = None,
) -> VideoReader | SequenceReader | LiveReader:
    """Open a reader of whatever `source` names: a file, images in a row, a camera's number, or an address.

    An address that states its length in time or bytes (a file on a web server) is read as a file; others are live.
    `fps` is for images in a row. Raises VideoError where nothing can be read from it.
    """
    part: dict = {"every": every, "start": start, "end": end}
    local = not (source.isdecimal() or is_address(source))
    if local and (sequence := find_sequence(source)):
        files, notes = sequence
        return read_sequence(source, files, fps=fps, notes=notes, **part)
    if fps is not None:
        raise VideoError(f"--fps {fps:g} is for images in a row; {without_password(source)} has time stamps of its own")
    if local:
        return read_animation(Path(source), **part) or VideoReader(source, **part)
    if source.isdecimal():
        return LiveReader(Camera(int(source)), reconnects=reconnects, **part)
    container = open_container(source, **network_options(source))
    of_known_size = container.size > 0 and container.format.name not in PLAYLISTS
    if container.duration or of_known_size:
        return VideoReader(source, container=container, **part)
    return LiveReader(Address(source, container), reconnects=reconnects, **part)


def output_stem(source: str) -> str:
    """Return the name that the results of a source begin with."""
    if source.isdecimal():
        return f"camera_{source}"
    if is_address(source):
        parts = source.partition("://")[2].partition("?")[0].rstrip("/").split("/")
        return Path(parts[-1]).stem.replace(":", "_") if len(parts) > 1 else "stream"
    path = Path(source).expanduser()
    if path.is_dir():
        return path.resolve().name or "images"
    if path.exists():
        return path.stem
    # Of a pattern for images: its letters, else the folder's name.
    letters = re.sub(r"%0?\d*d|\[[^]]*\]|[*?%]", "", path.stem).strip("_-. ")
    return letters or path.parent.resolve().name or "images"
