"""Write a checkpoint as a model for other engines, and check that it detects the same.

    python export.py --weights outputs/training/NAME/best_model.pth --to onnx openvino torch-export web

Writes NAME.onnx, NAME_openvino/model.xml, NAME.pt2 and NAME_web/index.html to outputs/export/NAME, or to --output,
each only after it has found in some images what the checkpoint finds; export.json has the comparison. Exit status: 0;
2 for an error; 130 after Ctrl-C.
"""

import sys

from utils.cli.guard import NETWORK_PACKAGES, check_python

if __name__ == "__main__":  # before anything else is imported: this Python may lack it
    check_python(NETWORK_PACKAGES)

from utils.cli.export_args import export_arguments
from utils.cli.script import ending

if __name__ == "__main__":  # before the imports that take seconds: --help and mistyped flags answer at once
    with ending():
        ARGS = export_arguments()

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch

from models.exporting import export_graph, save_openvino, write_onnx, write_openvino, write_torch_export
from models.predictors import load_predictor
from torch_utils.predictor import Predictor
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint
from utils.config.config import load_config
from utils.config.dataset_config import DatasetConfig
from utils.dataset.scan import Scan, raise_for_errors, scan_splits
from utils.errors import ConfigError, DatasetError, ToolkitError
from utils.exported.agreement import compare_detections
from utils.exported.engines import missing, open_engine
from utils.exported.loss import MOST_LOSS, measure_loss
from utils.exported.metadata import ExportMetadata
from utils.exported.origin import REPORT, read_report
from utils.exported.predictor import ExportedPredictor
from utils.exported.web.folder import MODEL, WebRuntime, find_runtime, write_web
from utils.files import check_free, write_text_atomically
from utils.images.io import read_image
from utils.img_size import padded_hw
from utils.inference.sources import find_images
from utils.runs.run_dir import CHECKPOINTS

EXPORT_ROOT = Path("outputs/export")
SAMPLES = Path(__file__).parent / "data/inference_data"
PACKAGES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
    "torch-export": (),
    "web": ("onnx", "onnxscript", "onnxruntime"),
}
MOST_IMAGES = 8  # that are compared
CALIBRATION_IMAGES = 128


def main(args) -> int:
    sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    targets = list(dict.fromkeys(args.to))
    check_packages(targets, int8=args.int8)
    runtime = find_runtime(args.runtime) if "web" in targets else None
    checkpoint = load_checkpoint(args.weights, model_name=args.model)
    name = name_of(args.weights)
    folder = args.output or EXPORT_ROOT / name
    precision = "_int8" if args.int8 else "_half" if args.half else ""
    files = {
        "onnx": f"{name}.onnx",
        "openvino": f"{name}_openvino{precision}",
        "torch-export": f"{name}.pt2",
        "web": f"{name}_web",
    }
    check_free(folder, [*(files[target] for target in targets), *([] if read_report(folder) else [REPORT])])
    predictor, class_names = load_predictor(
        checkpoint,
        torch.device("cpu"),
        config=args.config,
        img_size=args.img_size,
        max_detections=args.max_detections,
    )
    data = read_dataset(args, class_names) if args.int8 else None
    images = check_images(None if data else args.images, predictor)
    expected, seconds = timed(predictor, images)
    metadata = metadata_of(checkpoint, predictor, class_names)
    print(f"exporting {args.weights} ({metadata.model_name}, {metadata.img_size} pixels): takes a minute or more")
    graph = export_graph(predictor.model)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export", dir=folder) as hidden:
        for target in targets:
            made = Path(hidden) / files[target]
            write(target, graph, made, metadata, runtime, half=args.half)
            about = compare(target, made, images, expected, seconds)
            if data:
                about = write_int8(made, predictor, data, args.images)
            made.replace(folder / files[target])
            add_to_report(folder, args.weights, target + precision, {"file": files[target], **about})
    print(f"results: {folder}: {', '.join([*(files[target] for target in targets), REPORT])}")
    return 0


def check_packages(targets: Sequence[str], *, int8: bool) -> None:
    """Raise ConfigError, with the remedy, where packages are missing that the targets need."""
    needed = {f"--to {target}": PACKAGES[target] for target in targets} | ({"--int8": ("nncf",)} if int8 else {})
    for what, packages in needed.items():
        if lacking := missing(packages):
            raise ConfigError(
                f"{what} needs {', '.join(packages)}, and this Python lacks {', '.join(lacking)}: "
                "pip install -r requirements-export.txt"
            )


def name_of(path: Path) -> str:
    """Return the name of the run that wrote a checkpoint, or the file's own."""
    return path.absolute().parent.name if path.name in CHECKPOINTS else path.stem


def metadata_of(checkpoint: Checkpoint, predictor: Predictor, class_names: Sequence[str]) -> ExportMetadata:
    """Return what the exported files say of themselves."""
    model = predictor.model
    return ExportMetadata(
        model_name=checkpoint.require_model_name(),
        class_names=tuple(class_names),
        img_size=model.img_size,
        long_side=model.transform.max_size,
        max_detections=predictor.max_detections,
        lowest_score=model.roi_heads.score_thresh,
        pixel_range=checkpoint.pixel_range,
        thresholds=checkpoint.content.get("thresholds") if checkpoint.thresholds else None,
    )


def check_images(folder: Path | None, predictor: Predictor) -> list[np.ndarray]:
    """Return RGB uint8 images to compare on: those of a folder, or the samples and drawn ones of several shapes."""
    if folder:
        sources = find_images(str(folder))[0][:MOST_IMAGES]
        return [read_image(source.path, pixel_range=predictor.pixel_range) for source in sources]
    rng = np.random.default_rng(0)
    images = [read_image(path) for path in sorted(SAMPLES.glob("*.jpg"))]
    for height, width in ((480, 640), (640, 480), (400, 400)):
        image = np.full((height, width, 3), rng.integers(0, 255, 3), np.uint8)
        for _ in range(12):
            x, y = int(rng.integers(0, width - 40)), int(rng.integers(0, height - 40))
            image[y : y + int(rng.integers(20, 200)), x : x + int(rng.integers(20, 200))] = rng.integers(0, 255, 3)
        images.append(image)
    return images


def read_dataset(args, class_names: Sequence[str]) -> tuple[DatasetConfig, dict[str, Scan]]:
    """Read the dataset to calibrate and check int8 with: --config, or config.yaml beside the checkpoint.

    Raises ConfigError where there is none, or where it has other classes.
    """
    path = args.config or args.weights.parent / "config.yaml"
    if args.config is None and not path.is_file():
        raise ConfigError(f"--int8 needs images: {args.weights} has no config.yaml beside it; give --config YAML")
    config = load_config(path)
    if tuple(config.class_names) != tuple(class_names):
        raise ConfigError(
            f"{path} has the classes {', '.join(config.class_names[1:])}; {args.weights} has "
            f"{', '.join(class_names[1:])}: --int8 is checked on the data that the checkpoint was trained for"
        )
    scans = scan_splits(config, ("train", "val"), skip_bad=True)
    raise_for_errors(scans)
    return config, scans


def write_int8(made: Path, predictor: Predictor, data: tuple[DatasetConfig, dict[str, Scan]], folder: Path | None):
    """Replace the float model in `made` by one in int8, print the AP that it loses, and return that.

    It is calibrated on images of the folder, or else of the training split, and checked on the validation split.
    Raises ToolkitError where it loses more than 0.5 AP.
    """
    from datasets import DetectionDataset
    from models.quantising import quantise

    config, scans = data
    engine = open_engine(made / "model.xml")
    train, val = (
        DetectionDataset(
            scans[split].annotations, img_size=predictor.img_size, training=False, pixel_range=config.pixel_range
        )
        for split in ("train", "val")
    )
    if folder:
        paths = [source.path for source in find_images(str(folder))[0][:CALIBRATION_IMAGES]]
        images = (read_image(path, pixel_range=config.pixel_range) for path in paths)
    else:
        chosen = np.random.default_rng(0).permutation(len(train))[:CALIBRATION_IMAGES]
        images = (train.load(int(index)).image for index in chosen)
    inputs = list(map(ExportedPredictor(engine).inputs, images))
    print("openvino: calibrating int8, then comparing on the validation split: takes minutes")
    source = made.rename(made.with_name(".float"))
    for careful in (False, True):
        shutil.rmtree(made, ignore_errors=True)
        save_openvino(quantise(source / "model.xml", predictor.model, inputs, careful=careful), made, engine.metadata)
        exported = ExportedPredictor(open_engine(made / "model.xml"))
        loss = measure_loss(
            val.annotations,
            config.class_names,
            (val.load(index).image for index in range(len(val))),
            checkpoint=predictor,
            exported=exported,
            max_detections=predictor.max_detections,
        )
        layers = "with the pyramid and the RPN in float: " if careful else ""
        if loss.holds:
            break
        if not careful:
            print(f"openvino int8: {loss}: too much; now with the pyramid and the RPN in float")
    else:
        raise ToolkitError(f"--int8: it loses more than {100 * MOST_LOSS:g} AP, and is deleted: {loss}")
    print(f"openvino int8: {layers}{loss}")
    print(f"openvino int8: {loss.seconds:.3g} s an image, {loss.to_dict()['speed']:.2f} times as fast")
    return {"engine": exported.engine.title, "pyramid_in_float": careful, **loss.to_dict()}


def write(
    target: str,
    graph: torch.export.ExportedProgram,
    made: Path,
    metadata: ExportMetadata,
    runtime: WebRuntime | None,
    *,
    half: bool = False,
) -> None:
    """Write one export to the new path `made`; the ONNX graph, which most are made of, lies beside it."""
    if target == "torch-export":
        return write_torch_export(graph, made, metadata)
    source = made.with_name(".graph.onnx")
    if not source.exists():
        write_onnx(graph, source, metadata)
    if target == "onnx":
        shutil.copyfile(source, made)
    elif target == "web":
        assert runtime is not None
        write_web(source, made, metadata, runtime)
    else:
        write_openvino(source, made, metadata, half=half)


def compare(target: str, made: Path, images: Sequence[np.ndarray], expected: Sequence, seconds: float) -> dict:
    """Run an export on the images, print how it compares with the checkpoint, and return that.

    Raises ToolkitError where it does not find the same.
    """
    engine = open_engine({"openvino": made / "model.xml", "web": made / MODEL}.get(target, made))
    exported = ExportedPredictor(engine)
    about = engine.metadata  # the network sees smaller images in another size than the checkpoint's
    fit = [min(padded_hw(image.shape[:2], about.img_size, about.long_side)) >= engine.least_side for image in images]
    images, expected = ([one for one, fits in zip(of, fit, strict=True) if fits] for of in (images, expected))
    if not images:
        raise DatasetError(
            f"--to {target}: no image to compare on has {engine.least_side} pixels a side; give others: --images"
        )
    found, own_seconds = timed(exported, images)
    agreement = compare_detections(expected, found)
    if not agreement.holds:
        raise ToolkitError(f"--to {target}: what was exported does not detect the same, and is deleted: {agreement}")
    print(f"{target}: {agreement}")
    print(f"{target}: {engine.title}: {own_seconds:.3g} s an image, {seconds / own_seconds:.2f} times as fast")
    if not agreement.boxes:
        print("note: there is no box on them, which proves little: give --images with some of your own")
    return {
        "engine": engine.title,
        **agreement.to_dict(),
        "seconds": own_seconds,
        "checkpoint_seconds": seconds,
        "speed": seconds / own_seconds,
    }


def timed(predictor, images: Sequence[np.ndarray]) -> tuple[list, float]:
    """Return the detections of each image, and the median of the seconds that one takes, without the first run."""
    predictor(images[:1])
    found, seconds = [], []
    for image in images:
        started = time.perf_counter()
        found += predictor([image])
        seconds.append(time.perf_counter() - started)
    return found, median(seconds)


def add_to_report(folder: Path, weights: Path, target: str, about: dict) -> None:
    """Write the comparison of an export into the report, beside those of other targets."""
    report = read_report(folder) or {"exports": {}}
    made_of = {"weights": str(weights), "weights_time_ns": weights.stat().st_mtime_ns}
    report["exports"][target] = {**made_of, **about}
    write_text_atomically(folder / REPORT, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    with ending():
        sys.exit(main(ARGS))
