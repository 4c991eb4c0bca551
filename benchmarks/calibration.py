"""Measure what calibration brings: fitted on one half of the images, its error measured on the other.

    python benchmarks/calibration.py
    python benchmarks/calibration.py --ground-truth val_ground_truth.json --predictions val_predictions.json

Without files an over-confident drawn detector is measured. Two disjoint parts of N images are drawn 200 times. The
expected calibration error (15 bins, all detections of score 0.05 or more) is of the other half, with bins of equal mass
and, computed here, of equal width; "scatter" is the error that perfectly calibrated scores would have on as many.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.detection_sets import draw_matches, halves, read_matches
from utils.evaluation.calibration import BINS, expected_calibration_error, fit_calibration, scored
from utils.evaluation.matching import Matches


def equal_width_error(scores: np.ndarray, right: np.ndarray) -> float:
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, scores - right, BINS)).sum() / len(scores))


def all_scores(matches: Matches, calibration=None) -> tuple[np.ndarray, np.ndarray]:
    columns = []
    for label in range(1, len(matches.classes) + 1):
        scores, right, _ = scored(matches, label)
        columns.append((calibration.apply(np.full(len(scores), label), scores) if calibration else scores, right))
    return np.concatenate([c[0] for c in columns]), np.concatenate([c[1] for c in columns])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ground-truth", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 1000], help="images of a half")
    parser.add_argument("--draws", type=int, default=200)
    args = parser.parse_args()
    matches = read_matches(args.ground_truth, args.predictions) if args.ground_truth else draw_matches()
    print(f"{matches.num_images} images, {sum(len(f.scores) for f in matches.classes)} detections")
    print("| images | error before | after | times | halved in | scatter | equal width: before | after | times |")
    print("|---|---|---|---|---|---|---|---|---|")
    kinds: Counter[str] = Counter()
    for size in args.sizes:
        if 2 * size > matches.num_images:
            continue
        rng, rows = np.random.default_rng(size), []
        for _ in range(args.draws):
            one, other = halves(matches, size, rng)
            calibration = fit_calibration(one)
            kinds.update(calibration.kinds)
            (raw, right), (calibrated, _) = all_scores(other), all_scores(other, calibration)
            perfect = rng.random(len(calibrated)) < calibrated
            rows.append(
                (
                    expected_calibration_error(raw, right),
                    expected_calibration_error(calibrated, right),
                    expected_calibration_error(calibrated, perfect),
                    equal_width_error(raw, right),
                    equal_width_error(calibrated, right),
                )
            )
        before, after, scatter, wide_before, wide_after = np.mean(rows, axis=0)
        halved = np.mean([row[1] <= row[0] / 2 for row in rows])
        print(
            f"| {size} | {before:.4f} | {after:.4f} | {before / after:.1f} | {100 * halved:.0f} % | {scatter:.4f} "
            f"| {wide_before:.4f} | {wide_after:.4f} | {wide_before / wide_after:.1f} |",
            flush=True,
        )
    print("maps chosen:", ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))


if __name__ == "__main__":
    main()
