"""Tables of a training: as wide as the terminal, scores with as many digits as their objects bear."""

import re
import sys

import pytest

from utils.runs.tables import EpochTable, class_table, terminal_width

NAMES = ("__background__", "Mask", "Gloves")
METRICS = {f"val/{key}": 0.64567 for key in ("map_50_95", "map_50", "map_75", "map_small", "map_medium", "map_large")}
METRICS |= {f"val/mar_{n}": 0.71234 for n in (1, 10, 100)}
METRICS |= {"val/ap/Mask": 0.81239, "val/ap_50/Mask": 0.91239, "val/ap/Gloves": 0.31239, "val/ap_50/Gloves": 0.41239}


def row_of(lines, name):
    return next(line for line in lines if line.startswith(name)).split()


def test_classes_of_few_objects_have_two_digits_and_a_mark():
    lines = class_table(METRICS, NAMES, [0, 20, 19])
    assert row_of(lines, "Mask") == ["Mask", "20", "0.8124", "0.9124"]
    assert row_of(lines, "Gloves") == ["Gloves", "19", "0.31~", "0.41~"]
    assert row_of(lines, "all") == ["all", "39", "0.65~", "0.65~"]  # a mean with a rough number in it
    assert "medium 0.65~" in "\n".join(lines)
    assert "average recall (AR@[.50:.95]) by detections per image: 1 0.71~, 10 0.71~, 100 0.71~" in lines
    assert re.search(r"^~ fewer than 20 objects to validate on \(Gloves\)", "\n".join(lines), re.MULTILINE)


def test_with_enough_objects_nothing_is_marked():
    lines = class_table(METRICS, NAMES, [0, 20, 0])
    assert "~" not in "\n".join(lines) and row_of(lines, "all") == ["all", "20", "0.6457", "0.6457"]


RECORD = {"epoch": 3, "train/loss": 0.5, "lr": 0.01, "time/epoch_s": 3725.1, "time/data_share": 0.03}
RECORD |= {f"train/loss_{part}": 0.1 for part in ("classifier", "box_reg", "objectness", "rpn_box_reg")} | METRICS


def test_the_rows_of_epochs_are_marked_too():
    record = RECORD | {"ema/map_50_95": 0.51239}
    rough, plain = (EpochTable(5, ema=True, rough=rough).row(record, best=None) for rough in (True, False))
    assert rough.count("0.65~") == 3 and "0.51~" in rough and "0.5000" in rough
    assert plain.count("0.6457") == 3 and "0.5124" in plain and "~" not in plain and len(plain) == len(rough)


@pytest.mark.parametrize("ema", [False, True])
@pytest.mark.parametrize("width", [80, 109, 110, 120, 200, None])
def test_the_table_fits_the_terminal_and_shows_component_losses_where_there_is_room(width, ema):
    table = EpochTable(1000, ema=ema, width=width)
    record = RECORD | ({"ema/map_50_95": 0.51239} if ema else {})
    lines = [table.header(), *(table.row(record | {"epoch": n}, best=best) for n, best in ((1, "raw"), (1000, "ema")))]
    assert max(map(len, lines)) <= (width or 200)
    head = lines[0].split()
    assert {"epoch", "loss", "AP", "AP50", "lr", "seconds", "data", "wait"} <= set(head)
    assert ("object" in head) == ("class" in head) == (width is None or width >= 110)
    assert lines[1].endswith("raw" if ema else "best") and lines[0].endswith("best") == ema
    ends = [match.end() for match in re.finditer(r"\S+", lines[0].replace("val loss", "val_loss"))]
    assert {match.end() for match in re.finditer(r"0\.01|3725\.1|3%|0\.6457", lines[1])} <= set(ends)


def test_what_is_no_terminal_gets_the_whole_table():
    assert terminal_width() is None or sys.stdout.isatty()
    head = EpochTable(5, width=None).header().split()
    assert "AP75" in head and "rpn" in head


def test_coco_s_own_limit_is_reported_beside_a_higher_one():
    lines = class_table(METRICS | {"val/map_50_95_at_100": 0.4321, "val/map_50_at_100": 0.6543}, NAMES, [0, 99, 99],
                        counted=300)  # fmt: skip
    assert lines[-1] == "AP counts 300 detections of an image and class; with COCO's own limit of 100: " \
        "AP 0.4321, AP50 0.6543"  # fmt: skip
