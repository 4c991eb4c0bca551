"""Video containers: opened, with what is wrong in the user's words, and written anew with the index in front."""

import os
import re
from fractions import Fraction
from pathlib import Path

import av

from utils.errors import ToolkitError
from utils.images.formats import is_image
from utils.video.decoding.truncation import is_cut_short

# FFmpeg plays plain text as a film of a terminal, and an image as a film of one frame.
TEXT_FORMATS = frozenset({"tty", "bin", "xbin", "adf", "idf"})
ANIMATIONS = frozenset({"gif", "apng"})  # whatever their files are called: APNG is often named .png
MOTION_JPEG = frozenset({".mjpeg", ".mjpg"})


class VideoError(ToolkitError):
    """A video, camera or stream that cannot be read, or a video file that cannot be written."""


def open_container(path: Path | str, **options) -> av.container.InputContainer:
    """Open a file or an address; `options` go to `av.open`. Raises VideoError saying what was found there."""
    if is_address(path):
        try:
            return av.open(path, metadata_errors="replace", **options)
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"{without_password(path)}: cannot be opened as a stream: {reason(error)}") from error
    path = Path(path)
    if path.is_dir():
        raise VideoError(f"{path} is a folder, expected a video file")
    if not path.exists():
        raise VideoError(
            f"{path}: no such file; expected a video file, a camera's number such as 0, or an address such as rtsp://..."
        )
    if path.suffix.lower() in MOTION_JPEG:  # images in a row, which FFmpeg takes for one
        options["format"] = "mjpeg"
    try:
        return av.open(for_ffmpeg(path), metadata_errors="replace", **options)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be read as a video: {_found(path) or reason(error)}") from error


def is_address(source: Path | str) -> bool:
    """Check whether a source is one for FFmpeg's protocols, such as rtsp://..., and no file of that name."""
    return isinstance(source, str) and "://" in source and not os.path.exists(source)  # noqa: PTH110


def for_ffmpeg(path: Path) -> Path:
    """Return the path as FFmpeg takes it for a file: it sees a protocol in `12:30.mp4` and `file:a.mp4`."""
    return path.absolute()


def find_video_stream(container: av.container.InputContainer, path: Path | str) -> av.VideoStream:
    """Return the first stream of moving images. Raises VideoError with the streams that are there instead."""
    form = container.format.name
    if form in TEXT_FORMATS:
        raise VideoError(f"{path}: is a text file, expected a video")
    if form.endswith("_pipe") or form == "image2" or (is_image(path) and form not in ANIMATIONS):
        raise VideoError(f"{path}: is an image, expected a video; inference.py takes images")
    for stream in container.streams.video:
        if not stream.disposition & stream.disposition.attached_pic:  # the cover of a piece of music
            if stream.codec_context is None:
                raise VideoError(f"{path}: its video is of a kind that this FFmpeg cannot decode; convert it to H.264")
            return stream
    if is_cut_short(Path(path)):
        raise VideoError(
            f"{path}: is cut short: it ends before the description of its streams, so nothing of it can be shown. Copy "
            "or download it again"
        )
    kinds = [f"{s.type} ({s.codec_context.name})" if s.codec_context else s.type for s in container.streams]
    raise VideoError(f"{path}: has no video stream, found {', '.join(kinds) or 'nothing'}")


def duration_of(stream: av.VideoStream) -> Fraction | None:
    """Return the end of a stream in seconds by its own time stamps; None where the file does not state it."""
    if stream.duration and stream.time_base:
        return (stream.duration + (stream.start_time or 0)) * stream.time_base
    try:  # Matroska has it as a tag, such as 00:00:02.400000000
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return (int(hours) * 60 + int(minutes)) * 60 + Fraction(seconds)
    except (KeyError, ValueError):
        return None


def put_index_first(source: Path, target: Path) -> None:
    """Copy the streams of `source` into the MP4 `target`, index in front: a browser plays it while it loads."""
    source, target = for_ffmpeg(source), for_ffmpeg(target)
    with av.open(source) as old, av.open(target, "w", format="mp4", options={"movflags": "faststart"}) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)


def without_password(address: Path | str) -> Path | str:
    """Return an address as it may be shown and logged, without user and password. A path stays as it is."""
    return re.sub(r"://[^/?#]*@", "://...@", address) if isinstance(address, str) else address


def reason(error: Exception) -> str:
    """Return the system's words for an error, without its number and the file's name."""
    return getattr(error, "strerror", None) or str(error)


def _found(path: Path) -> str | None:
    """Describe a file that FFmpeg refuses by its first bytes; None where they say nothing."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return None
    if not size:
        return "the file is empty"
    if head[4:8] == b"ftyp":
        return (
            f"its index ('moov') is missing in {size} bytes: the recording or the download was cut short. "
            "Copy it anew; a recording can be repaired with a tool such as untrunc"
        )
    if all(byte >= 32 or byte in b"\t\r\n\f\b\x1b" for byte in head):
        return f"it is text that begins with {head[:32].decode('utf-8', 'replace')!r}"
    return f"{size} bytes that begin with {head[:16]!r}: damaged, cut short, or no video"
