"""Count how often intervals of AP cover the AP of all images, over redraws of a made-up detector's split.

    python benchmarks/interval_coverage.py --images 50 500 --redraws 200

The generator: four classes of unequal frequency (55, 30, 10 and 5 of 100 objects), 1 to 10 objects an image, and a
difficulty of each image that moves what is found, how tightly, how surely, and how many false alarms there are. The
target is the AP of a population of many images from the same generator. Prints the coverage of several kinds of
bootstrap intervals from the same resamples, and the share of redraws where the target is above or below.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.stats import norm, t

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.evaluation.bootstrap import (
    MIN_IMAGES,
    Resampled,
    Support,
    interval,
    resample_summaries,
    summaries,
    support_of,
)
from utils.evaluation.matching import average_precision, match
from utils.evaluation.packed import PackedDetections, PackedTruth

CLASSES = ("background", "common", "frequent", "seldom", "rare")
FREQUENCIES = (0.55, 0.3, 0.1, 0.05)
EASE = np.array([1.6, 1.0, 1.2, 0.6])
LEVEL = 0.95


def draw(images: int, generator: np.random.Generator) -> tuple[PackedTruth, PackedDetections]:
    """Draw a split and a detector's output on it."""
    difficulty = generator.normal(size=images)
    image_of = np.repeat(np.arange(images), generator.integers(1, 11, images))
    n = len(image_of)
    labels = generator.choice(4, n, p=FREQUENCIES)
    boxes = np.concatenate([generator.uniform(0, 560, (n, 2)), np.exp(generator.normal(4.2, 0.5, (n, 2)))], axis=1)
    truth = PackedTruth(image_of, labels + 1, boxes, boxes[:, 2] * boxes[:, 3], np.zeros(n, bool), images, CLASSES)

    ease = EASE[labels] - 0.8 * difficulty[image_of] + generator.normal(size=n)
    found = np.flatnonzero(generator.random(n) < 1 / (1 + np.exp(-1.2 - ease)))
    noise = generator.normal(size=(len(found), 4)) * 0.08 * np.exp(-0.25 * ease[found])[:, None]
    near = boxes[found] + noise * np.tile(boxes[found, 2:], 2)
    near[:, 2:] = np.maximum(near[:, 2:], 1)
    confused = generator.random(len(found)) < 0.05
    near_labels = np.where(confused, generator.integers(0, 4, len(found)), labels[found])
    false_of = np.repeat(np.arange(images), generator.poisson(1.5 * np.exp(0.4 * difficulty)))
    m = len(false_of)
    false = np.concatenate([generator.uniform(0, 560, (m, 2)), np.exp(generator.normal(4.2, 0.5, (m, 2)))], axis=1)
    logits = np.concatenate([1 + ease[found], generator.normal(-0.5, 1.0, m) - 0.3 * difficulty[false_of]])
    logits += 0.7 * generator.normal(size=len(logits))
    detections = PackedDetections(
        np.concatenate([image_of[found], false_of]),
        np.concatenate([near_labels, generator.choice(4, m, p=FREQUENCIES)]) + 1,
        np.concatenate([near, false]),
        1 / (1 + np.exp(-logits)),
    )
    return truth, detections


def logit(values: np.ndarray) -> np.ndarray:
    values = np.clip(values, 1e-4, 1 - 1e-4)
    return np.log(values / (1 - values))


def kinds_of_intervals(value: float, drawn: Resampled, support: Support) -> dict[str, tuple[float, float]]:
    """Return the intervals to compare; `chosen` is the toolkit's own."""
    resampled = drawn.resamples[~np.isnan(drawn.resamples)]
    images = support.images
    if images < MIN_IMAGES:  # the toolkit gives none
        return {}
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    width = t.ppf(1 - tail, images - 1) * resampled.std()
    wider = norm.cdf(t.ppf(tail, images - 1) * np.sqrt(images / (images - 1)))
    wide = np.quantile(resampled, [wider, 1 - wider])
    share = np.clip(np.mean(resampled < value) + np.mean(resampled == value) / 2, 1e-3, 1 - 1e-3)
    corrected = np.quantile(resampled, norm.cdf(2 * norm.ppf(share) + norm.ppf([tail, 1 - tail])))
    centre = 2 * value - resampled.mean()
    scaled, there = logit(resampled), logit(np.array(value))
    width_there = t.ppf(1 - tail, images - 1) * scaled.std()
    back = 1 / (1 + np.exp(-(there + np.array([-1, 1]) * width_there)))
    centred = 1 / (1 + np.exp(-(2 * there - scaled.mean() + np.array([-1, 1]) * width_there)))
    return {
        "percentile": (low, high),
        "wider percentile": tuple(wide),
        "basic": (2 * value - high, 2 * value - low),
        "bias-corrected percentile": tuple(corrected),
        "t": (value - width, value + width),
        "t, bias taken off": (centre - width, centre + width),
        "logit t": tuple(back),
        "logit t, bias taken off": tuple(centred),
        "chosen": interval(value, drawn, support),
    }


def main(options) -> int:
    generator = np.random.default_rng(options.seed)
    parts = [average_precision(match(*draw(options.population // 4, generator))) for _ in range(4)]
    targets = summaries(np.mean(parts, axis=0), CLASSES)
    print(f"population of {options.population} images: " + ", ".join(f"{k} {v:.4f}" for k, v in targets.items()))
    for images in options.images:
        hits: dict[tuple[str, str], list[int]] = {}
        for redraw in range(options.redraws):
            matches = match(*draw(images, generator))
            values = summaries(average_precision(matches), CLASSES)
            resampled = resample_summaries(matches, resamples=options.resamples, seed=redraw)
            for name, target in targets.items():
                found = kinds_of_intervals(values[name], resampled[name], support_of(name, matches))
                for kind, (low, high) in found.items():
                    side = -1 if target < low else 1 if target > high else 0
                    hits.setdefault((kind, name), []).append(side)
        names = list(targets)
        print(f"\n{images} images, {options.redraws} redraws, {options.resamples} resamples: % covered (below, above)")
        print("| interval | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
        for kind in dict.fromkeys(kind for kind, _ in hits):
            cells = []
            for name in names:
                sides = np.array(hits[kind, name])
                cells.append(
                    f"{100 * np.mean(sides == 0):.1f} ({100 * np.mean(sides < 0):.1f}, {100 * np.mean(sides > 0):.1f})"
                )
            print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--redraws", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--population", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    sys.exit(main(parser.parse_args()))
