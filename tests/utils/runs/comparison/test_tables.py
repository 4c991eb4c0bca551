"""Tables of runs for the terminal."""

import math

from support.run_folders import write_run
from utils.runs.comparison.run_folder import read_run
from utils.runs.comparison.tables import result_rows, setting_rows, text_table


def test_settings_that_differ_and_those_that_one_run_lacks(tmp_path):
    settings = [{"ema": None, "freeze_bn": False}, {"ema": 0.999, "freeze_bn": True, "new": []}]
    runs = [read_run(write_run(tmp_path / str(i), settings=own)) for i, own in enumerate(settings)]
    assert setting_rows(runs) == [
        ("ema", ["none", "0.999"]),
        ("freeze_bn", ["no", "yes"]),
        ("new", ["–", "none"]),
    ]


def test_scores_have_intervals_where_there_are_any(tmp_path):
    runs = [read_run(write_run(tmp_path / name, aps=(0.25,))) for name in "abc"]
    intervals = [{"ap": (0.5, 0.4, 0.6)}, {"ap": (0.5, math.nan, math.nan)}, {}]
    rows = dict(result_rows(runs, intervals))
    assert rows["AP"] == ["0.500 (0.400–0.600)", "0.500", "0.250"]
    assert rows["time"] == ["30.0 s"] * 3 and "threshold" not in rows


def test_cells_are_cut_and_stay_on_their_line():
    lines = text_table(["a\nb", "x" * 99], [("key", ["1", "2"])])
    assert lines[0].startswith("     a b  xxxx") and "…" in lines[0] and len(lines[0]) == 10 + 36
    assert lines[1] == "key  1    2"
