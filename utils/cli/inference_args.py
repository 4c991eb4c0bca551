"""The command lines of inference.py and inference_video.py; most of it is the same."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli.parser import Parser, count, image_size, number, positive, words
from utils.errors import ConfigError
from utils.inference.sinks import SINKS

_share = number(float, 0, "auto or a number from 0 to 1", most=1)
_overlap = number(float, 0, "a number from 0 to 0.9", most=0.9)
_rate = number(float, 0.001, "a number of frames per second from 0.001 to 1000", most=1000)
_seconds = number(float, 0, "a number of seconds")


def _threshold(text: str) -> float | None:
    """Return a score, or None for "auto"."""
    return None if text == "auto" else _share(text)


def image_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of inference.py."""
    parser = _common(
        "Detect objects in images.", "image, folder, glob in quotes, or a text file with one path per line"
    )
    add = parser.add_argument
    add("--batch-size", type=positive, default=4, help="images per run of the network")
    add("--save", nargs="+", choices=tuple(SINKS), default=[], metavar="KIND", help=f"also write: {' '.join(SINKS)}")
    return parser.parse_args(words(argv))


def video_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of inference_video.py. Raises ConfigError where no time lies between --start and --end."""
    parser = _common(
        "Detect objects in a video or a camera's stream.",
        "video file, camera number, RTSP/HTTP address, or a video's images: folder, frame_%%04d.jpg, glob in quotes",
    )
    add = parser.add_argument
    add("--batch-size", type=positive, default=1, help="frames per run of the network; more suits files on a GPU")
    add(
        "--save",
        nargs="+",
        choices=("json",),
        default=[],
        metavar="KIND",
        help="also write: json (JSON lines per frame)",
    )
    add("--every", type=positive, default=1, metavar="N", help="detect on every Nth frame only, and write only those")
    add("--start", type=_seconds, default=0.0, help="begin at this second")
    add("--end", type=_seconds, help="stop at this second")
    add("--fps", type=_rate, metavar="N", help="frames per second of a video's images; default: 25")
    add("--track", action="store_true", help="number the objects across frames and draw their trails")
    add("--reconnect", type=count, default=5, metavar="N", help="tries in a row to reach a stream that dropped")
    args = parser.parse_args(words(argv))
    if args.end is not None and args.end <= args.start:
        raise ConfigError(f"--end {args.end:g} is not behind --start {args.start:g}: nothing lies between them")
    return args


def predictor_options(args: argparse.Namespace) -> dict:
    """Return the keyword arguments of `models.predictors.build_predictor` that the flags of both scripts give."""
    return {
        "device_name": args.device,
        "half": args.half,
        "model_name": args.model,
        "config": args.config,
        "img_size": args.img_size,
        "max_detections": args.max_detections,
        "slice_size": args.slice,
        "overlap": args.overlap,
        "batch_size": args.batch_size,
    }


def _common(description: str, source: str) -> Parser:
    parser = Parser(description=description)
    add = parser.add_argument
    add("-i", "--input", required=True, help=source)
    add("-o", "--output", type=Path, help="folder for the results; default: outputs/inference/res_N, the next free N")
    add("-w", "--weights", type=Path, help="checkpoint; default: torchvision's COCO model with its class names")
    add("-m", "--model", help="model name, for a checkpoint that does not say; default: fasterrcnn_resnet50_fpn_v2")
    add("-c", "--config", "--data", type=Path, help="YAML with CLASSES, for a checkpoint that does not say")
    add("-th", "--threshold", type=_threshold, default="auto", metavar="SCORE",
        help="least score of what is shown and saved; auto: the checkpoint's own, or else 0.3")  # fmt: skip
    add("-si", "--show-image", "--show", action="store_true", help="show the result in a window")
    add("-mpl", "--mpl-show", action="store_true", help="show the result with matplotlib")
    add("-d", "--device", default="auto", help="auto, cpu, cuda, cuda:N, or mps on a Mac")
    add("-ims", "--img-size", "--imgsz", type=image_size, help="short side in pixels; default: the checkpoint's")
    add("--max-detections", type=positive, metavar="N", help="the most objects of an image; default: the checkpoint's")
    add("-nlb", "--no-labels", action="store_true", help="draw boxes without names and scores")
    add("--classes", nargs="+", metavar="CLASS", help="keep these classes only, by name or number")
    add("--half", action="store_true", help="half precision: bf16 or fp16, whichever the device has")
    add("--slice", type=image_size, metavar="SIZE", help="detect in windows of SIZE pixels, for small objects")
    add("--overlap", type=_overlap, default=0.2, help="share of a window that the next one repeats, with --slice")
    return parser
