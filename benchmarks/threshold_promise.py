"""Measure how often promised precision and recall hold: chosen on one half of the images, checked on the other.

    python benchmarks/threshold_promise.py
    python benchmarks/threshold_promise.py --ground-truth val_ground_truth.json --predictions val_predictions.json

Without files a drawn detector is measured. Two disjoint parts of N images are drawn 200 times. "given": so often a
threshold is promised, for all classes together, else it is refused. "held": of these, so often the other half reaches
the wanted share; its own scatter is in there. "point" is the threshold at which this half itself reaches the share.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.detection_sets import draw_matches, halves, read_matches
from utils.evaluation.curves import Curve, curve_of
from utils.evaluation.thresholds import highest_with_recall, lowest_with_precision


def point_choice(curve: Curve, name: str, wanted: float) -> float | None:
    """Return the threshold whose share reaches the wanted one on these images, as it is usually chosen."""
    rows = np.flatnonzero((curve.precision if name == "precision" else curve.recall) >= wanted)
    return float(curve.scores[rows[-1 if name == "precision" else 0]]) if rows.size else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ground-truth", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 1000], help="images of a half")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--precision", type=float, default=0.95)
    parser.add_argument("--recall", type=float, default=0.9)
    args = parser.parse_args()
    matches = read_matches(args.ground_truth, args.predictions) if args.ground_truth else draw_matches()
    objects = sum(int(found.objects.sum()) for found in matches.classes)
    print(f"{matches.num_images} images, {objects} objects, {sum(len(f.scores) for f in matches.classes)} detections")
    whole = curve_of(matches)
    print("| images | promise | given | held | broken, of all draws | point: held | other share at it, bound / point |")
    print("|---|---|---|---|---|---|---|")
    for size in args.sizes:
        if 2 * size > matches.num_images:
            continue
        results: dict[tuple[str, str], list[tuple[bool, float]]] = {}
        rng = np.random.default_rng(size)
        for _ in range(args.draws):
            one, other = (curve_of(half) for half in halves(matches, size, rng))
            for name, wanted in (("precision", args.precision), ("recall", args.recall)):
                choose = lowest_with_precision if name == "precision" else highest_with_recall
                chosen = {"bound": choose(one, wanted).threshold, "point": point_choice(one, name, wanted)}
                for way, threshold in chosen.items():
                    if threshold is not None:
                        point, price = other.at(threshold), whole.at(threshold)
                        reached = point.precision if name == "precision" else point.recall
                        cost = price.recall if name == "precision" else price.precision
                        results.setdefault((name, way), []).append((reached >= wanted, cost))
        for name, wanted in (("precision", args.precision), ("recall", args.recall)):
            bound, point = (results.get((name, way), []) for way in ("bound", "point"))
            held, point_held = (sum(row[0] for row in rows) for rows in (bound, point))
            costs = [f"{np.mean([row[1] for row in rows]):.2f}" if rows else "–" for rows in (bound, point)]
            share = [
                f"{100 * h / len(rows):.0f} %" if rows else "–" for h, rows in ((held, bound), (point_held, point))
            ]
            print(
                f"| {size} | {name} {wanted:g} | {len(bound)} of {args.draws} | {share[0]} "
                f"| {100 * (len(bound) - held) / args.draws:.1f} % | {share[1]} | {costs[0]} / {costs[1]} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
