import os
import subprocess
import sys
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from support.paths import ROOT
from utils.errors import ToolkitError
from utils.plots import labels
from utils.plots import training as plots
from utils.plots.figure import new_figure
from utils.plots.labels import plot_label_statistics
from utils.plots.training import plot_training
from utils.plots.trials import plot_batch_sizes, plot_lr_trial
from utils.runs.loggers import JsonlLogger, read_metrics

COMPONENTS = ("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg")
ALL = {"train_loss_iter.png", "train_loss_epoch.png", "map.png", "lr.png", *(f"{name}.png" for name in COMPONENTS)}


@dataclass
class Labelled:
    boxes: np.ndarray
    labels: np.ndarray
    width: int = 640
    height: int = 480


def write_run(run_dir, epochs, steps_per_epoch, best=None, **extra):
    rng = np.random.default_rng(0)
    logger = JsonlLogger(run_dir)
    for epoch in range(1, epochs + 1):
        steps = range((epoch - 1) * steps_per_epoch + 1, epoch * steps_per_epoch + 1)
        losses = {f"train/{name}": 1 / epoch for name in COMPONENTS}
        noise = rng.lognormal(0, 0.3, len(steps))
        logger.steps([
            {"step": s, "epoch": epoch, "lr": 0.01, "train/loss": 4 / epoch * n} | losses
            for s, n in zip(steps, noise, strict=True)
        ])  # fmt: skip
        score = {"val/map_50_95": 0.5 - abs(epoch - (best or epochs)) / 100, "val/map_50": 0.6}
        record = {"epoch": epoch, "step": steps[-1], "lr": 0.01, "train/loss": 4 / epoch}
        logger.epoch(record | losses | score | extra)
    logger.close()


def check_png(path):
    image = cv2.imread(str(path))
    assert image is not None and min(image.shape[:2]) > 400, path
    assert len(np.unique(image @ [1, 256, 65536])) > 20, f"{path} is empty"
    return image


def has_color(image, rgb):
    return bool((np.abs(image[..., ::-1].astype(int) - rgb).max(axis=2) < 12).sum() > 20)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (3, 5), (50, 100)])
def test_every_plot_of_a_run(tmp_path, epochs, steps):
    write_run(tmp_path, epochs, steps)
    written = plot_training(tmp_path, "bccd · größe")
    assert {path.name for path in written} == ALL
    assert {path.name for path in tmp_path.iterdir()} == ALL | {"metrics.jsonl"}  # no partial file is left
    for path in written:
        assert has_color(check_png(path), (0x2F, 0x6D, 0xB3)), path  # the curve, also where it is one point


def test_plots_replace_the_earlier_ones(tmp_path):
    write_run(tmp_path, 2, 5)
    plot_training(tmp_path)
    before = (tmp_path / "map.png").read_bytes()
    write_run(tmp_path, 6, 5)
    plot_training(tmp_path)
    assert (tmp_path / "map.png").read_bytes() != before


def test_validation_loss_is_drawn_where_there_is_one(tmp_path):
    orange = (0xE0, 0x70, 0x2C)
    for name, extra in (("without", {}), ("with", {"val/loss": 3.0, "val/loss_classifier": 0.7})):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, 4, 30, **extra)
        plot_training(tmp_path / name)
        drawn = {p.name for p in (tmp_path / name).glob("*loss*.png") if has_color(cv2.imread(str(p)), orange)}
        expected = {"train_loss_iter.png", "train_loss_epoch.png", "loss_classifier.png"} if extra else set()
        assert drawn == expected


def test_undefined_and_not_finite_values_leave_the_rest_drawable(tmp_path):
    write_run(tmp_path, 3, 5, **{"val/map_50_95": -1.0, "val/map_50": float("nan")})
    logger = JsonlLogger(tmp_path)
    logger.steps([{"step": 16, "epoch": 4, "lr": 0.01, "train/loss": float("inf")}])
    logger.close()
    assert {path.name for path in plot_training(tmp_path)} >= {"map.png", "train_loss_iter.png"}
    image = check_png(tmp_path / "map.png")
    assert not has_color(image, (0x2F, 0x6D, 0xB3)) and not has_color(image, (0x00, 0xA0, 0x8C))


def test_a_run_without_validation_or_epochs_gets_what_it_has_data_for(tmp_path):
    with pytest.raises(ToolkitError, match=r"metrics.jsonl"):
        plot_training(tmp_path)
    logger = JsonlLogger(tmp_path)
    assert plot_training(tmp_path) == []
    logger.steps([{"step": 1, "epoch": 1, "train/loss": 1.0}])
    logger.close()
    assert [path.name for path in plot_training(tmp_path)] == ["train_loss_iter.png"]


def test_five_thousand_steps_are_read_whole(tmp_path):
    write_run(tmp_path, 50, 100)
    steps, epochs = read_metrics(tmp_path / "metrics.jsonl")
    assert [s["step"] for s in steps] == list(range(1, 5001))
    assert [e["epoch"] for e in epochs] == list(range(1, 51))


def some_annotations(count, classes, seed=0):
    rng = np.random.default_rng(seed)
    annotations = []
    for i in range(count):
        n = i % 4  # every fourth image is without objects
        corner, size = rng.uniform(0, 300, (n, 2)), rng.uniform(5, 180, (n, 2))
        boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
        annotations.append(Labelled(boxes, rng.integers(1, classes + 1, n)))
    return annotations


@pytest.mark.parametrize("classes", [1, 3, 80, 300])
def test_label_statistics_of_few_and_many_classes(tmp_path, classes):
    names = ["__background__", *(f"Schutzhelm mit Gehörschutz und Visier Nr. {i}" for i in range(classes))]
    splits = {"train": some_annotations(200, classes), "val": some_annotations(40, classes, seed=1)}
    plot_label_statistics(tmp_path / "labels.png", names, splits)
    image = check_png(tmp_path / "labels.png")
    assert has_color(image, (0x2F, 0x6D, 0xB3)) and has_color(image, (0xE0, 0x70, 0x2C))
    assert max(image.shape[:2]) < 3000
    assert [path.name for path in tmp_path.iterdir()] == ["labels.png"]


@pytest.mark.parametrize("boxes", [0, 1])
def test_label_statistics_of_almost_nothing(tmp_path, boxes):
    one = Labelled(np.array([[10, 10, 60, 60]] * boxes, np.float32).reshape(-1, 4), np.ones(boxes, np.int64))
    plot_label_statistics(tmp_path / "labels.png", ["__background__", "Mask"], {"train": [one], "val": []})
    check_png(tmp_path / "labels.png")


def test_the_users_matplotlib_backend_is_not_touched(tmp_path):
    write_run(tmp_path, 1, 2)
    code = (
        "import sys; from pathlib import Path; from utils.plots.training import plot_training;"
        f"plot_training(Path({str(tmp_path)!r}));"
        "import matplotlib; assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules;"
        "print(matplotlib.get_backend(auto_select=False))"
    )
    root = ROOT
    env = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == "None\n", done.stderr


ODD_NAMES = [r"$\frac{", "$5 note", "a_b^{c", "%d %s", "{0}", "two\nlines", "_under", "x" * 5000]
ODD_NAMES += ["\ud800\x1b[31m", "قبعة", "🪖帽"]  # a surrogate and a colour of the terminal; right to left; images


@pytest.mark.filterwarnings("ignore:no installed font")
@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_of_any_kind_are_drawn_as_they_are(tmp_path, name):
    write_run(tmp_path, 2, 3)
    before = {path: path.read_bytes() for path in plot_training(tmp_path, "plain")}
    assert all(path.read_bytes() != before[path] for path in plot_training(tmp_path, name))
    for names in (["", name], ["", "plain"]):
        plot_label_statistics(tmp_path / f"{names[1] == name}.png", names, {"train": some_annotations(9, 1)})
    drawn, plain = (check_png(tmp_path / f"{own}.png") for own in (True, False))
    assert drawn.shape == plain.shape and (drawn != plain).any()


def test_a_dollar_begins_no_formula(tmp_path):
    for name in ("a", "b"):  # in a formula both would be one sign, a slanted x
        plot_label_statistics(tmp_path / f"{name}.png", ["", {"a": "$x$", "b": "$ x $"}[name]], {"train": []})
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_axes_of_powers_are_written_without_formulas(tmp_path):
    @dataclass
    class Trial:
        batch: int
        rate: float
        memory: int

    rates = np.geomspace(1e-5, 1, 40)
    check_png(plot_lr_trial(tmp_path / "lr.png", rates, 1 + rates, 1 + rates, 0.01))
    check_png(plot_batch_sizes(tmp_path / "batch.png", [Trial(n, 9 + n, n << 30) for n in (1, 2, 4)], 8 << 30, 4))


def test_a_legend_covers_no_curve(tmp_path):
    write_run(tmp_path, 6, 30, **{"val/loss": 3.0, "ema/map_50": 0.9, "ema/map_50_95": 0.02})
    steps, epochs = read_metrics(tmp_path / "metrics.jsonl")
    figures = [
        plots._by_step(steps, epochs, "train/loss", "Loss", "loss"),
        plots._loss_by_epoch(epochs, "loss"),
        plots._map(epochs),
    ]
    splits = {"train": some_annotations(60, 2), "val": some_annotations(9, 2)}
    for draw in (labels._objects_per_image, labels._coco_sizes):
        figure, ax = new_figure("", "", "")
        draw(ax, splits)
        figures.append(figure)
    for figure in figures:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        legends = [legend for legend in (*figure.legends, figure.axes[0].get_legend()) if legend]
        assert len(legends) == 1
        inside = figure.axes[0].get_window_extent(canvas.get_renderer())
        assert not inside.overlaps(legends[0].get_window_extent(canvas.get_renderer()))
        assert not [text for text in figure.axes[0].texts if text.get_window_extent().overlaps(inside)] or len(
            figure.axes[0].patches
        )  # nothing but bars has words on it
