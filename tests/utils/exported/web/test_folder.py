"""The page of an exported detector in a headless Chromium: its pixels, its boxes, and its words for what goes wrong."""

import base64
import http.server
import json
import os
import threading
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.browser import BROWSER, DRIVER, Browser
from support.paths import ROOT
from support.video_runs import small_checkpoint
from utils.cli.export_args import export_arguments
from utils.errors import ConfigError
from utils.exported.engines import open_engine
from utils.exported.metadata import ExportMetadata
from utils.exported.predictor import ExportedPredictor, resize
from utils.exported.web.folder import FOLDER, WebRuntime, find_runtime, write_web
from utils.images.io import read_image

NPM = Path(os.environ.get("ONNXRUNTIME_WEB", ROOT / "node_modules/onnxruntime-web"))
needs_browser = pytest.mark.skipif(not (DRIVER and BROWSER), reason="needs chromium and chromedriver")
needs_all = pytest.mark.skipif(
    not (DRIVER and BROWSER and NPM.is_dir() and all(map(find_spec, ("onnx", "onnxscript", "onnxruntime")))),
    reason="needs chromium, requirements-export.txt, and npm install onnxruntime-web",
)
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
ODD = "</script><b>'\"&ü\u202e"


def package(folder: Path, name="onnxruntime-web", version="1.30.0", files=True) -> Path:
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    for file in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm") if files else ():
        (folder / "dist" / file).write_text("throw new Error('no runtime')")
    return folder


def metadata(**changed) -> ExportMetadata:
    known = {"model_name": "m", "class_names": ("__background__", "a", ODD), "img_size": 96, "long_side": 160}
    return ExportMetadata(**known | {"max_detections": 100, "lowest_score": 0.05} | changed)


def wait_for(browser, script: str, seconds: float = 60):
    """Return the value of a script as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := browser.run(script)):
        assert time.monotonic() < end, browser.run("return document.body.innerText")
        time.sleep(0.1)
    return value


def text(id_: str, test: str) -> str:
    return f"const text = document.getElementById('{id_}').textContent; return {test} && text;"


def test_the_runtime_is_npm_s_and_new_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="node_modules/onnxruntime-web is not it: npm install onnxruntime-web, or"):
        find_runtime(None)
    package(tmp_path / "node_modules/onnxruntime-web")
    assert find_runtime(None).version == find_runtime(tmp_path).version == "1.30.0"
    for name, options, message in (
        ("other", {"name": "onnxruntime-node"}, "has onnxruntime-node"),
        ("old", {"version": "1.17.3"}, "1.17.3 is too old, expected 1.21 or newer"),
        ("part", {"files": False}, "lacks dist/"),
        ("odd", {"version": "x"}, "has onnxruntime-web x"),
    ):
        with pytest.raises(ConfigError, match=message):
            find_runtime(package(tmp_path / name, **options))


@needs_browser
def test_what_is_wrong_with_the_folder_is_said_and_names_are_text(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"\x08\x08")
    folder = tmp_path / "a#b %?_web"
    write_web(tmp_path / "x.onnx", folder, metadata(), WebRuntime(package(tmp_path / "npm"), "1.30.0"))
    error = "const e = document.getElementById('error'); return !e.hidden && e.textContent;"
    with Browser(tmp_path / "profile") as browser:
        browser.open(folder / "index.html")
        assert "cannot be loaded: no runtime" in wait_for(browser, error)
        assert browser.run("return document.querySelectorAll('footer b').length") == 0
        assert ODD[:-1] in browser.run("return document.querySelector('footer').textContent")
        assert browser.run("return JSON.parse(document.getElementById('about').textContent).class_names[2]") == ODD
        (folder / "runtime.js").unlink()
        browser.open(folder / "index.html")
        assert "runtime.js is not beside this page" in wait_for(browser, error)


@needs_browser
def test_images_are_resized_as_in_python(tmp_path):
    """Also those that are read in several strips, have sides of one pixel, or are enlarged."""
    worker = (FOLDER / "worker.js").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><title>x</title><script>{worker}</script>")
    script = """
        const [width, height, pixels] = arguments, bytes = Uint8ClampedArray.from(atob(pixels), (c) => c.charCodeAt(0));
        const rows = (top, count) => bytes.subarray(4 * width * top, 4 * width * (top + count));
        const made = networkInput(width, height, { img_size: 96, long_side: 160 }, rows);
        return { ...made, values: [...made.values] };"""
    rng = np.random.default_rng(0)
    with Browser(tmp_path / "profile") as browser:
        browser.open(tmp_path / "page.html")
        for height, width in ((97, 131), (620, 310), (40, 30), (300, 12), (1, 1)):
            image = rng.integers(0, 256, (height, width, 4), np.uint8)
            image[..., 3] = 255
            made = browser.run(script, width, height, base64.b64encode(image.tobytes()).decode())
            expected = resize(image[..., :3], 96, 160)
            assert (made["h"], made["w"]) == expected.shape[:2] and not made["transparent"]
            assert made["padH"] % 32 == made["padW"] % 32 == 0
            values = np.reshape(made["values"], (3, made["padH"], made["padW"]))
            np.testing.assert_allclose(values[:, : made["h"], : made["w"]], expected.transpose(2, 0, 1), atol=2e-5)
            assert not values[:, made["h"] :].any() and not values[:, :, made["w"] :].any()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    import export

    folder = tmp_path_factory.mktemp("exports")
    weights = small_checkpoint(tmp_path_factory.mktemp("my run") / "best_model.pth")
    words = ["-w", weights, "-o", folder, "-ims", "96", "--to", "web", "--runtime", NPM]
    assert export.main(export_arguments([str(word) for word in words])) == 0
    return folder / f"{weights.parent.name}_web"


@needs_all
@pytest.mark.parametrize("served", [False, True])
def test_boxes_are_those_of_python(web, tmp_path, served):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(web)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    predictor = ExportedPredictor(open_engine(web / "model.onnx"))
    image = read_image(ROOT / "data/inference_data/image_1.jpg")
    slide = "const s = document.getElementById('threshold'); s.value = 0.05; s.dispatchEvent(new Event('input'));"
    shown = "return [...document.querySelectorAll('.box')].map((one) => ({ ...one.dataset }));"
    try:
        with Browser(tmp_path / "profile", *CAMERA) as browser:
            browser.open(f"http://127.0.0.1:{server.server_port}/" if served else web / "index.html")
            wait_for(browser, text("status", "text === 'Ready.'"))
            for name, part in (("whole.png", image), ("tall.png", image[:, 100:160]), ("one.png", image[:1, :1])):
                cv2.imwrite(str(tmp_path / name), part[..., ::-1])
                browser.choose_file("#file", tmp_path / name)
                height, width = part.shape[:2]
                wait_for(browser, text("status", f"text.includes('{width} × {height} pixels')"))
                browser.run(slide)
                found = [[*map(float, one["box"].split()), float(one["score"]), int(one["label"])]
                         for one in browser.run(shown)]  # fmt: skip
                (expected,) = predictor([part])
                assert len(found) == len(expected)
                for box, score, label in zip(expected.boxes, expected.scores, expected.labels, strict=True):
                    same = [one for one in found if one[5] == label]
                    apart = [max(np.abs(one[:4] - box).max(), 50 * abs(one[4] - score)) for one in same]
                    assert min(apart) < 0.05
            browser.choose_file("#file", ROOT / "README.md")
            wait_for(browser, text("error", "text.includes('README.md: cannot be read as an image')"))
            browser.run("document.getElementById('camera').click()")
            wait_for(browser, "return !document.getElementById('video').hidden")
            browser.run("document.getElementById('camera').click()")
            wait_for(browser, text("status", "text === 'The camera is off.'"))
            assert browser.errors() == []
    finally:
        server.shutdown()
        server.server_close()
