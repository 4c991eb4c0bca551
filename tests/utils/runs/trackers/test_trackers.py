"""Trackers read back: event files, offline W&B, MLflow's store. Those that are not installed are skipped."""

import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.paths import ROOT
from utils.errors import ToolkitError
from utils.runs.trackers.tracker import RunInfo
from utils.runs.trackers.trackers import Trackers, check_trackers

ODD_CLASS = "Maß <b>'\"/../√"
LOG = logging.getLogger("trackers")


def steps(first, last):
    return [{"step": n, "epoch": 1 + (n - 1) // 2, "lr": 0.1, "train/loss": 1 / n} for n in range(first, last + 1)]


def epoch(number):
    scores = {"val/map_50_95": number / 10, f"val/ap/{ODD_CLASS}": 0.5, "val/map_small": -1.0, "val/loss": np.nan}
    return {"epoch": number, "step": 2 * number, "train/loss": np.float32(0.25), **scores}


def open_run(name, folder, *, first_step=1, settings=None):
    folder.mkdir(exist_ok=True)
    settings = {"epochs": 2, "config": "ü <x>.yaml", "weights": None, **(settings or {})}
    return Trackers([name], RunInfo(folder, settings, first_step), LOG)


def write_image(folder, name="val_pred_0.jpg"):
    cv2.imwrite(str(folder / name), np.full((40, 60, 3), 128, np.uint8))


def killed_and_resumed(name, folder):
    """A run that is killed in its second epoch and resumed from the end of the first, to its end."""
    killed = open_run(name, folder)
    killed.steps(steps(1, 2))
    killed.epoch(epoch(1))
    killed.steps(steps(3, 3))
    killed.close()
    resumed = open_run(name, folder, first_step=3)
    resumed.steps(steps(3, 4))
    resumed.epoch(epoch(2))
    write_image(folder)
    resumed.images("val_pred_*.jpg", "no_such_*.png")
    resumed.finish(epoch(2))
    resumed.close()


def test_event_files_hold_each_step_once_after_a_kill_and_a_resume(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    killed_and_resumed("tensorboard", folder)
    assert len(list(folder.glob("events.out.tfevents.*"))) == 2
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()

    def values(tag):
        return [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]

    assert values("train_step/loss") == [(1, 1), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4)]
    assert values("train/loss") == [(2, 0.25), (4, 0.25)] and values("epoch") == [(2, 1), (4, 2)]
    assert values(f"val/ap/{ODD_CLASS}") == [(2, 0.5), (4, 0.5)]
    assert values("best/map_50_95") == [(4, 0.2)] and values("best/epoch") == [(4, 2)]
    assert np.isnan(events.Scalars("val/loss")[0].value)
    (image,) = events.Images("val_pred_0")
    assert (image.width, image.height, image.step) == (60, 40, 4)
    assert image.encoded_image_string == (folder / "val_pred_0.jpg").read_bytes()
    (text,) = events.Tensors("settings")[-1].tensor_proto.string_val
    assert "ü <x>.yaml" in text.decode()


def wandb_records(path):
    """Yield the records of a .wandb file: LevelDB's log format, blocks of 32 KiB, after a header of 7 bytes."""
    content, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


def test_offline_wandb_keeps_id_steps_images_and_final_metrics(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    from wandb.proto.wandb_internal_pb2 import Record

    folder = tmp_path / "run"
    check_trackers(["wandb"])
    killed_and_resumed("wandb", folder)
    history, summary, ids, settings = [], {}, set(), {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in wandb_records(path):
            record = Record()
            record.ParseFromString(data)
            if record.HasField("history"):
                items = record.history.item
                history.append({item.key or "/".join(item.nested_key): item.value_json for item in items})
            if record.HasField("summary"):
                summary |= {item.key or "/".join(item.nested_key): item.value_json for item in record.summary.update}
            if record.HasField("run"):
                ids.add((record.run.run_id, record.run.project, record.run.display_name))
                settings |= {item.key: item.value_json for item in record.run.config.update}
    assert len(ids) == 1 and {("faster-rcnn", "run")} == {row[1:] for row in ids}
    seen = {int(row["_step"]): row for row in history}
    assert sorted(seen) == [1, 2, 3, 4] and float(seen[4]["train_step/loss"]) == pytest.approx(1 / 4)
    assert float(seen[2]["val/map_50_95"]) == pytest.approx(0.1) and f"val/ap/{ODD_CLASS}" in seen[2]
    assert "image-file" in "".join(seen[4].values())
    assert len(list(folder.glob("wandb/offline-run-*/files/media/images/val_pred_0_*.jpg"))) == 1
    assert float(summary["best/map_50_95"]) == pytest.approx(0.2)
    assert "epochs" in settings


@pytest.fixture
def store(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/odd name.db")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{tmp_path}/odd name.db")


def test_mlflow_continues_one_run_without_repeating_steps(store, tmp_path):
    killed_and_resumed("mlflow", tmp_path / "run")
    (run,) = store.search_runs([store.get_experiment_by_name("faster-rcnn").experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "run"
    assert run.data.params["epochs"] == "2" and run.data.params["config"] == "ü <x>.yaml"

    def values(key):
        return [(metric.step, metric.value) for metric in store.get_metric_history(run.info.run_id, key)]

    assert values("train_step/loss") == [(1, 1), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4)]
    assert values("val/map_50_95") == [(2, 0.1), (4, 0.2)]
    assert run.data.metrics["best/map_50_95"] == 0.2 and run.data.metrics["val/map_small"] == -1
    assert values("val/ap/Maß _3c_b_3e__27__22__2f_.._2f__221a_") == [(2, 0.5), (4, 0.5)]
    assert [file.path for file in store.list_artifacts(run.info.run_id, "images")] == ["images/val_pred_0.jpg"]


def test_mlflow_takes_classes_of_any_name(store, tmp_path):
    run = open_run("mlflow", tmp_path / "run", settings={"long": "x" * 9000})
    names = ["..", ".", "/x", "a//b", "y" * 400, "y" * 401]
    run.epoch({"epoch": 1, "step": 1, **{f"val/ap/{name}": n / 8 for n, name in enumerate(names)}})
    run.close()
    (found,) = store.search_runs([store.get_experiment_by_name("faster-rcnn").experiment_id])
    assert found.info.status == "KILLED"
    assert sorted(v for k, v in found.data.metrics.items() if k.startswith("val/ap/")) == [n / 8 for n in range(6)]


def test_a_tracker_that_fails_warns_once_and_the_others_go_on(store, tmp_path, monkeypatch, caplog):
    """The server of one is not there: its port is closed."""
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    folder = tmp_path / "run"
    folder.mkdir()
    run = Trackers(["mlflow", "tensorboard"], RunInfo(folder, {}), LOG)
    run.steps(steps(1, 2))
    run.finish(epoch(1))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith("--log mlflow failed") and "training continues" in warning and "\n" not in warning
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


def test_an_image_that_is_gone_ends_its_tracker_and_nothing_else(tmp_path, caplog):
    pytest.importorskip("tensorboard")
    run = open_run("tensorboard", tmp_path / "run")
    (tmp_path / "run/a.jpg").write_bytes(b"no image")
    run.images("*.jpg")
    run.steps(steps(1, 2))
    run.finish(epoch(1))
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_all_missing_packages_are_named_with_one_pip_line(monkeypatch):
    for name in ("tensorboard", "wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys, "path", [str(ROOT)])
    with pytest.raises(ToolkitError, match="^--log: wandb, mlflow are not installed: pip install wandb mlflow$"):
        check_trackers(["wandb", "mlflow"])
    with pytest.raises(ToolkitError, match="^--log: tensorboard is not installed: pip install tensorboard$"):
        check_trackers(["tensorboard"])


def test_wandb_without_an_account_is_refused_before_it_asks(tmp_path):
    pytest.importorskip("wandb")
    code = "from utils.runs.trackers.trackers import check_trackers; check_trackers(['wandb'])"
    env = {"PATH": "", "HOME": str(tmp_path), "WANDB_SILENT": "true", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert "no account is known" in done.stderr and "WANDB_MODE=offline" in done.stderr


def test_without_trackers_nothing_is_imported_or_written(tmp_path):
    code = (
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from utils.runs.trackers.trackers import Trackers, RunInfo\n"
        "run = Trackers((), RunInfo(Path('.'), {}), logging.getLogger())\n"
        "run.steps([{'step': 1}]); run.epoch({'step': 1, 'epoch': 1}); run.images('*'); run.finish({}); run.close()\n"
        "assert not {'tensorboard', 'wandb', 'mlflow'} & set(sys.modules)\n"
    )
    env = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(Path(tmp_path).iterdir()) == []
