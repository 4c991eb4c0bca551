"""A dataset in K parts, each held out once, so that every image is judged by a model that did not learn it."""

from collections.abc import Mapping, Sequence

import numpy as np

from utils.annotations.scan_result import Scan
from utils.dataset.split import deal, groups_of
from utils.errors import ConfigError


def fold_scans(scans: Mapping[str, Scan], count: int, pattern: str | None = None) -> list[dict[str, Scan]]:
    """Return `count` divisions of all images of all splits: in the n-th the n-th part is "val", the rest "train".

    Images that belong together by their names, or are near-duplicates, are in the same part, and classes are spread
    evenly, by the rule of `--split`. What was found in the files stays with the training images.

    Args:
        pattern: `--split-groups`.

    Raises ConfigError where fewer images than `count` do not belong together.
    """
    whole = Scan(skip_bad=any(scan.skip_bad for scan in scans.values()))
    for scan in scans.values():
        whole.extend(Scan(list(scan.annotations), list(scan.findings), list(scan.thumbnails), used=scan.used))
    groups = groups_of([a.image_path for a in whole.annotations], whole.thumbnails, pattern)
    there = len(set(groups))
    if there < count:
        raise ConfigError(f"--folds {count}: expected as many groups of images, found {there}: give fewer folds")
    part_of = deal([a.labels for a in whole.annotations], groups, [1 / count] * (count - 1))
    return [
        {
            "train": _part(whole, np.flatnonzero(part_of != number).tolist(), whole.findings),
            "val": _part(whole, np.flatnonzero(part_of == number).tolist(), []),
        }
        for number in range(count)
    ]


def _part(whole: Scan, ids: Sequence[int], findings: list) -> Scan:
    annotations = [whole.annotations[i] for i in ids]
    used = {a.image_path: whole.used[a.image_path] for a in annotations if a.image_path in whole.used}
    return Scan(annotations, findings, [whole.thumbnails[i] for i in ids], whole.skip_bad, used=used)
