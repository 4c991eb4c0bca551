"""What training prints: scores with as many digits as their objects bear."""

import re

from utils.runs.console import class_table, epoch_row

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
    assert "medium 0.65~" in "\n".join(lines) and "100 0.71~" in "\n".join(lines)
    assert re.search(r"^~ fewer than 20 objects to validate on \(Gloves\)", "\n".join(lines), re.MULTILINE)


def test_with_enough_objects_nothing_is_marked():
    lines = class_table(METRICS, NAMES, [0, 20, 0])
    assert "~" not in "\n".join(lines) and row_of(lines, "all") == ["all", "20", "0.6457", "0.6457"]


def test_the_rows_of_epochs_are_marked_too():
    record = {"epoch": 3, "train/loss": 0.5, "lr": 0.01, "ema/map_50_95": 0.51239} | METRICS
    rough, plain = (epoch_row(record, 5, best=None, rough=rough) for rough in (True, False))
    assert rough.count("0.65~") == 3 and "EMA AP 0.51~" in rough and "0.5000" in rough
    assert plain.count("0.6457") == 3 and "~" not in plain and len(plain) == len(rough) + 1  # of EMA's


def test_coco_s_own_limit_is_told_beside_a_higher_one():
    lines = class_table(METRICS | {"val/map_50_95_at_100": 0.4321, "val/map_50_at_100": 0.6543}, NAMES, [0, 99, 99],
                        counted=300)  # fmt: skip
    assert lines[-1] == "AP counts 300 detections of an image and class; with COCO's own limit of 100: " \
        "AP 0.4321, AP50 0.6543"  # fmt: skip
