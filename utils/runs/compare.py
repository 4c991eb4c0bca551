"""Lay runs side by side: `python -m utils.runs.compare A B C`.

A, B and C are folders of runs, such as outputs/training/first, or their names below outputs/training; folders of
evaluations, such as outputs/evaluation/res_1, too. Prints results, the settings that differ, and whether the detections
of each can be distinguished from those of the first; writes the same with all curves as comparison.html to
outputs/comparison/res_N, or to --output. Exit status: 0; 2 for an error; 130 after Ctrl-C.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli.parser import Parser, words
from utils.cli.script import ending
from utils.errors import ToolkitError, printable
from utils.evaluation.bootstrap import Interval, ap_intervals
from utils.evaluation.coco.files import CocoTruth, load_detections, load_truth
from utils.evaluation.comparison import compare
from utils.evaluation.matching import Matches, match
from utils.evaluation.packed import PackedTruth
from utils.files import check_free
from utils.runs.comparison.page import write_page
from utils.runs.comparison.run_folder import RunFolder, find_runs, read_run, short_names
from utils.runs.comparison.tables import Row, result_rows, setting_rows, text_table
from utils.runs.run_dir import output_dir

COMPARISON_ROOT = Path("outputs/comparison")
PAGE = "comparison.html"
COCO_DETECTIONS = 100  # of an image and class, that COCO counts


@dataclass(frozen=True, eq=False)
class Scored:
    """A run's detections, matched with the objects that they were to find."""

    truth: CocoTruth
    matches: Matches
    intervals: dict[str, Interval]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the runs that the command line names; return the exit status."""
    parser = Parser(prog="python -m utils.runs.compare", description="Lay runs side by side.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run, or its name below outputs/training")
    parser.add_argument(
        "-o", "--output", type=Path, help="folder for comparison.html; default: outputs/comparison/res_N"
    )
    given = parser.parse_args(words(argv))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    if given.output:
        check_free(given.output, [PAGE])
    folders, again = find_runs(given.runs)
    for name in again:
        print(f"note: {name} is given more than once, and counts once")
    if len(folders) < 2:
        raise ToolkitError(f"expected two runs or more to compare, got {folders[0]}")
    runs, names = [read_run(folder) for folder in folders], short_names(folders)
    scored = [score(run) for run in runs]
    intervals = [one.intervals if one else {} for one in scored]
    results, settings, said = result_rows(runs, intervals), setting_rows(runs), verdicts(names, scored)
    if any(run.coco_files and run.coco_files[0].name.startswith("val_") for run in runs):
        said.append("These images chose each best epoch, so its AP is a little too good; a test split is honest.")
    for line in [*text_table(names, results), "", *_settings_lines(names, settings), "", *said]:
        print(printable(line))
    with output_dir(given.output, COMPARISON_ROOT) as folder:
        page = folder / PAGE
        write_page(page, names, runs, intervals, results=results, settings=settings, verdicts=said)
    print(f"curves: {page}")
    return 0


def _settings_lines(names: Sequence[str], settings: Sequence[Row]) -> list[str]:
    return ["settings that differ:", *text_table(names, settings)[1:]] if settings else ["the settings are the same"]


def score(run: RunFolder) -> Scored | None:
    """Match a run's detections with its ground truth, with intervals of AP; None where it has no such files."""
    if run.coco_files is None:
        return None
    truth = load_truth(run.coco_files[0])
    detections = load_detections(run.coco_files[1], truth)
    crowded = _most_of_a_class(truth.packed) > COCO_DETECTIONS
    matches = match(truth.packed, detections, max_detections=run.max_detections if crowded else COCO_DETECTIONS)
    return Scored(truth, matches, ap_intervals(matches))


def _most_of_a_class(truth: PackedTruth) -> int:
    """Return the most objects of one class that an image holds."""
    pairs = truth.image_of * len(truth.class_names) + truth.labels
    return int(np.bincount(pairs).max()) if len(pairs) else 0


def verdicts(names: Sequence[str], scored: Sequence[Scored | None]) -> list[str]:
    """Compare each run with the first that has detections: a sentence each, also on why two cannot be compared."""
    lines = [f"{name} has no detections to compare" for name, one in zip(names, scored, strict=True) if one is None]
    there = [(name, one) for name, one in zip(names, scored, strict=True) if one]
    for other, second in there[1:]:
        name, first = there[0]
        if reason := difference(first.truth, second.truth, (name, other)):
            lines.append(f"{name} and {other} are not compared: {reason}")
        else:
            sentence = compare(first.matches, second.matches, names=(name, other)).sentence
            both = len(names) == 2 or (name in sentence and other in sentence)
            lines.append(sentence if both else f"{name}, {other}: {sentence}")
    return lines


def difference(first: CocoTruth, second: CocoTruth, names: tuple[str, str]) -> str | None:
    """Say in which way two ground truths differ; None where they are the same."""
    classes = [truth.packed.class_names[1:] for truth in (first, second)]
    if classes[0] != classes[1]:
        only = [
            f"only {name} has {', '.join(c for c in own if c not in other)}"
            for name, own, other in zip(names, classes, classes[::-1], strict=True)
            if set(own) - set(other)
        ]
        return "; ".join(only) or "their classes stand in another order"
    if first.image_ids != second.image_ids:
        same = len(set(first.image_ids) & set(second.image_ids))
        return (
            f"they were scored on other images ({len(first.image_ids)} and {len(second.image_ids)}, {same} in common)"
        )
    if not np.array_equal(_objects(first.packed), _objects(second.packed)):
        return "the annotations of their images differ"
    return None


def _objects(truth: PackedTruth) -> np.ndarray:
    """Return the objects as rows (N, 8) in an order that does not depend on that of the file."""
    rows = np.column_stack([truth.image_of, truth.labels, truth.boxes_xywh, truth.areas, truth.crowd])
    return rows[np.lexsort(rows.T[::-1])]


if __name__ == "__main__":
    with ending():
        sys.exit(main())
