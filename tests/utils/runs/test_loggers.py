import csv
import json
import logging
import math
import re
import sys

import numpy as np
import pytest
from tqdm import tqdm

from utils.errors import ToolkitError
from utils.runs.console import attach_log_file, setup_logging
from utils.runs.loggers import CsvLogger, JsonlLogger, read_metrics


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_json_lines_are_on_disk_at_once_and_read_back(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.steps([{"step": 1, "epoch": 1, "train/loss": np.float32(0.5)}, {"step": np.int64(2), "train/loss": 0.25}])
    logger.epoch({"epoch": 1, "step": 2, "val/map_50_95": -1.0, "val/ap/Maß": 0.1})
    assert lines(tmp_path / "metrics.jsonl") == [
        {"kind": "step", "step": 1, "epoch": 1, "train/loss": 0.5},
        {"kind": "step", "step": 2, "train/loss": 0.25},
        {"kind": "epoch", "epoch": 1, "step": 2, "val/map_50_95": -1.0, "val/ap/Maß": 0.1},
    ]
    logger.close()
    steps, epochs = read_metrics(tmp_path / "metrics.jsonl")
    assert [s["train/loss"] for s in steps] == [0.5, 0.25] and epochs[0]["val/ap/Maß"] == 0.1


def test_what_is_not_finite_is_valid_json_and_comes_back_as_nan(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.steps([{"step": 1, "train/loss": math.nan, "lr": np.float32(np.inf)}])
    logger.close()
    assert lines(tmp_path / "metrics.jsonl") == [{"kind": "step", "step": 1, "train/loss": None, "lr": None}]
    (step,), _ = read_metrics(tmp_path / "metrics.jsonl")
    assert math.isnan(step["train/loss"]) and math.isnan(step["lr"])


def test_a_line_cut_short_by_a_kill_is_not_glued_to_the_next(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "step", "step": 1, "lr": 0.1}\n{"kind": "step", "st')
    assert [s["step"] for s in read_metrics(path)[0]] == [1]  # a cut last line is ordinary: no warning
    logger = JsonlLogger(tmp_path)
    logger.steps([{"step": 2, "lr": 0.2}])
    logger.close()
    with pytest.warns(UserWarning, match="line 2"):
        steps, _ = read_metrics(path)
    assert [(s["step"], s["lr"]) for s in steps] == [(1, 0.1), (2, 0.2)]


def test_a_resumed_run_wins_and_the_order_is_by_number(tmp_path):
    for losses in ({1: 1.0, 2: 2.0, 3: 3.0}, {3: 30.0, 2: 20.0}):
        logger = JsonlLogger(tmp_path)
        logger.steps([{"step": step, "train/loss": loss} for step, loss in losses.items()])
        for epoch, loss in losses.items():
            logger.epoch({"epoch": epoch, "step": epoch, "train/loss": loss})
        logger.close()
    for records, key in zip(read_metrics(tmp_path / "metrics.jsonl"), ("step", "epoch"), strict=True):
        assert [(r[key], r["train/loss"]) for r in records] == [(1, 1.0), (2, 20.0), (3, 30.0)]


def test_metrics_that_are_not_there(tmp_path):
    with pytest.raises(ToolkitError, match="metrics.jsonl"):
        read_metrics(tmp_path / "metrics.jsonl")
    with pytest.raises(ToolkitError, match="no_such_run"):
        JsonlLogger(tmp_path / "no_such_run")


def test_csv_has_a_row_per_epoch(tmp_path):
    logger = CsvLogger(tmp_path)
    logger.steps([{"step": 1, "train/loss": 9.0}])
    logger.epoch({"epoch": 1, "step": 5, "lr": 0.01, "val/ap/Kopf, klein": 0.5})
    logger.epoch({"epoch": 2, "step": 10, "lr": math.nan, "val/ap/Kopf, klein": 0.25})
    logger.close()
    assert (tmp_path / "results.csv").read_text().splitlines()[0] == 'epoch,step,lr,"val/ap/Kopf, klein"'
    assert [r["val/ap/Kopf, klein"] for r in rows(tmp_path / "results.csv")] == ["0.5", "0.25"]
    assert rows(tmp_path / "results.csv")[1]["lr"] == ""


def test_csv_goes_on_with_other_columns_and_repeated_epochs_without_losing_rows(tmp_path):
    first = CsvLogger(tmp_path)
    for epoch in (1, 2, 3):
        first.epoch({"epoch": epoch, "lr": epoch / 10})
    resumed = CsvLogger(tmp_path)
    for epoch in (3, 4):
        resumed.epoch({"epoch": epoch, "val/loss": epoch * 1.0})
    assert [(r["epoch"], r["lr"], r["val/loss"]) for r in rows(tmp_path / "results.csv")] == [
        ("1", "0.1", ""),
        ("2", "0.2", ""),
        ("3", "", "3.0"),
        ("4", "", "4.0"),
    ]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "epoch,lr\none,0.1\n", "epoch,lr\n1,2,3\n"])
def test_a_table_of_other_making_is_refused_and_kept(tmp_path, text):
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(ToolkitError, match=r"results.csv cannot be continued"):
        CsvLogger(tmp_path)
    assert (tmp_path / "results.csv").read_text() == text


@pytest.fixture
def train_log():
    _without_handlers()  # another test of this process may have left messages for a file
    yield setup_logging()
    _without_handlers()


def _without_handlers():
    logger = logging.getLogger("train")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def test_messages_are_plain_on_stdout_and_buffered_for_the_file(tmp_path, capsys, train_log):
    path = tmp_path / "train.log"
    train_log.info("before the folder was known: 100%")
    assert setup_logging() is train_log
    attach_log_file(train_log, path)
    train_log.warning("größer")
    assert capsys.readouterr().out == "before the folder was known: 100%\ngrößer\n"
    written = path.read_text(encoding="utf-8").splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "", line) for line in written] == [
        "before the folder was known: 100%",
        "größer",
    ]
    assert written[0] != "before the folder was known: 100%"


def test_a_second_run_in_the_process_doubles_nothing_and_writes_its_own_file(tmp_path, capsys, train_log):
    attach_log_file(train_log, tmp_path / "one.log")
    train_log.info("one")
    second = setup_logging()
    second.info("two")
    attach_log_file(second, tmp_path / "two.log")
    attach_log_file(second, tmp_path / "two.log")
    second.info("three")
    assert capsys.readouterr().out == "one\ntwo\nthree\n"
    assert [line[21:] for line in (tmp_path / "one.log").read_text().splitlines()] == ["one"]
    assert [line[21:] for line in (tmp_path / "two.log").read_text().splitlines()] == ["two", "three"]


def test_the_log_of_a_killed_run_is_continued_on_a_fresh_line(tmp_path, train_log):
    path = tmp_path / "train.log"
    path.write_text("cut sho")
    attach_log_file(train_log, path)
    train_log.info("resumed")
    assert [line[-7:] for line in path.read_text().splitlines()] == ["cut sho", "resumed"]
    with pytest.raises(ToolkitError, match="cannot be opened"):
        attach_log_file(train_log, tmp_path)


def test_a_message_takes_the_bar_off_its_line_first(capsys, train_log):
    with tqdm(total=2, file=sys.stdout, mininterval=0) as bar:
        bar.update()
        train_log.info("between")
    assert "\rbetween\n" in capsys.readouterr().out.replace("\r\r", "\r")
