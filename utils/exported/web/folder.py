"""Writes the folder of the page: the page itself, the graph, and onnxruntime-web, which runs it."""

import base64
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from utils.drawing.colors import class_color, contrast_color
from utils.errors import ConfigError
from utils.evaluation.verdict.stored import choose_threshold
from utils.exported.metadata import ExportMetadata
from utils.files import write_text_atomically
from utils.html.markup import STYLE, environment, json_for_script, script_digest

FOLDER = Path(__file__).parent
PAGE, MODEL, RUNTIME = "index.html", "model.onnx", "runtime.js"
PACKAGE = "onnxruntime-web"
OLDEST = (1, 21)  # of the package: the first with all in two files
FILES = {"runtime": "dist/ort.wasm.bundle.min.mjs", "wasm": "dist/ort-wasm-simd-threaded.wasm"}
PART_BYTES = 12 << 20  # of a file that a page takes as a script; one string of all of it would be too long for some


@dataclass(frozen=True)
class WebRuntime:
    """onnxruntime-web as npm unpacks it."""

    folder: Path
    version: str


def find_runtime(folder: Path | None) -> WebRuntime:
    """Return onnxruntime-web from its folder, or from node_modules below the working folder.

    Raises ConfigError, with npm's command, where it is not there, too old or incomplete.
    """
    named = folder is not None
    folder = folder or Path("node_modules") / PACKAGE
    if named and not (folder / "package.json").is_file() and (folder / "node_modules" / PACKAGE).is_dir():
        folder = folder / "node_modules" / PACKAGE
    remedy = f"npm install {PACKAGE}" + ("" if named else f", or --runtime with the folder where {PACKAGE} is")
    try:
        about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        name, version = str(about["name"]), str(about["version"])
    except (OSError, ValueError, LookupError, TypeError):
        raise ConfigError(f"--to web needs npm's {PACKAGE}, and {folder} is not it: {remedy}") from None
    numbers = re.match(r"(\d+)\.(\d+)\.", version)
    if name != PACKAGE or not numbers:
        raise ConfigError(f"--to web needs npm's {PACKAGE}, and {folder} has {name} {version}: {remedy}")
    if (int(numbers[1]), int(numbers[2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise ConfigError(f"{folder}: {PACKAGE} {version} is too old, expected {wanted} or newer: {remedy}@latest")
    for file in FILES.values():
        if not (folder / file).is_file():
            raise ConfigError(f"{folder}: {PACKAGE} {version} lacks {file}: {remedy}")
    return WebRuntime(folder, version)


def write_web(onnx_path: Path, folder: Path, metadata: ExportMetadata, runtime: WebRuntime) -> None:
    """Write index.html, model.onnx and runtime.js into the new folder NAME_web, and the model as a script.

    A page that a browser opens as a file may read scripts alone.
    """
    folder.mkdir()
    shutil.copyfile(onnx_path, folder / MODEL)
    _write_script(folder / f"{MODEL}.js", {MODEL: onnx_path}, title=f"{MODEL} as a script")
    _write_script(
        folder / RUNTIME,
        {key: runtime.folder / file for key, file in FILES.items()},
        title=f"{PACKAGE} {runtime.version}, Copyright (c) Microsoft Corporation, MIT licence",
    )
    write_text_atomically(
        folder / PAGE, _page(metadata, runtime, folder.name.removesuffix("_web"), onnx_path.stat().st_size)
    )


def _page(metadata: ExportMetadata, runtime: WebRuntime, name: str, model_bytes: int) -> str:
    threshold, _ = choose_threshold(None, metadata.stored_thresholds)
    colors = [class_color(label) for label in range(len(metadata.class_names))]
    about = {
        "model_file": MODEL,
        "model_bytes": model_bytes,
        "class_names": metadata.class_names,
        "colors": [[_hex(color), _hex(contrast_color(color))] for color in colors],
        "threshold": threshold,
        "img_size": metadata.img_size,
        "long_side": metadata.long_side,
        "max_detections": metadata.max_detections,
        "pixel_range": metadata.pixel_range,
    }
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    # 'self' is unknown to some browsers where the page is a file; there is no other place that anything comes from.
    policy = (
        f"default-src 'none'; script-src '{script_digest(script)}' 'wasm-unsafe-eval' 'self' file: blob:; "
        "worker-src blob:; connect-src 'self'; img-src blob:; media-src blob:; style-src 'unsafe-inline'"
    )
    classes = metadata.class_names[1:]
    facts = {
        "model": metadata.model_name,
        "image size": f"short side {metadata.img_size} pixels",
        "classes": f"{len(classes)}: {', '.join(classes[:12])}{', …' if len(classes) > 12 else ''}",
        "runs in": f"{PACKAGE} {runtime.version}, WebAssembly",
    }
    return (
        environment(FOLDER)
        .get_template("page.html")
        .render(
            title=name,
            policy=policy,
            style=Markup(STYLE.read_text(encoding="utf-8") + (FOLDER / "page.css").read_text(encoding="utf-8")),
            script=Markup(script),
            worker=Markup((FOLDER / "worker.js").read_text(encoding="utf-8")),
            about=json_for_script(about),
            facts=facts,
            lowest=f"{metadata.lowest_score:g}",
            threshold=f"{threshold:.2f}",
        )
    )


def _write_script(path: Path, files: Mapping[str, Path], *, title: str) -> None:
    """Write files as a script that hands over their bytes, part by part."""
    with path.open("w", encoding="ascii") as script:
        script.write(f"// {title}\n")
        for name, file in files.items():
            for part in _parts(file):
                script.write(f'filePart({json.dumps(name)}, "{base64.b64encode(part).decode()}");\n')


def _parts(file: Path) -> Iterable[bytes]:
    with file.open("rb") as data:
        parts: Iterator[bytes] = iter(lambda: data.read(PART_BYTES), b"")
        yield from parts


def _hex(color: tuple[int, int, int]) -> str:
    return f"#{bytes(color).hex()}"
