"""Makes `Annotation`s of pairs of image and annotation, alike for every format, and reports every fault."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from utils.annotations.box_layout import LEAST, NEARLY_ALL, Written, one_cause
from utils.annotations.findings import CHECKS, Finding
from utils.annotations.labels import Box, LabelledObject, Labels, Pair, UnitError
from utils.annotations.placing import place, place_turned, written_boxes
from utils.annotations.scan_result import Scan
from utils.annotations.turning import UPRIGHT, settle_turned
from utils.errors import DatasetError
from utils.images.io import ImageInfo, probe_image
from utils.img_size import MOST_ASPECT
from utils.names import how_they_differ, look_alike, nfc
from utils.suggestions import plain, suggestion

__all__ = ["IGNORED", "Box", "LabelledObject", "Labels", "Pair", "UnitError", "plain", "read_pairs"]

MAX_UNKNOWN = 5  # classes of a file that are reported by name
IGNORED = 0  # the label of a class whose objects are left out


def read_pairs(
    pairs: Sequence[Pair],
    class_names: Sequence[str],
    *,
    renamed: Mapping[str, str],
    ignored: Iterable[str] = (),
    title: str,
    progress: bool = True,
    hint: str = "",
    probe: Callable[[Path], ImageInfo] = probe_image,
) -> Scan:
    """Read all pairs, in parallel; the Scan has them in their order.

    `renamed` are names in the files that mean one of `class_names` or of `ignored`, the classes whose objects are left
    out; `hint` ends the message on an unknown class. `probe` does as `probe_image`.
    """
    label_of = {nfc(name): label for label, name in enumerate(class_names) if label}
    label_of |= {nfc(name): IGNORED for name in ignored}
    label_of |= {nfc(name): label_of[nfc(known)] for name, known in renamed.items()}
    known = [*class_names[1:], *ignored]
    scan, written = Scan(), []
    # Threads, because Pillow and OpenCV let others run while they decode.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        read = pool.map(lambda pair: _read_pair(pair, label_of, known, hint, probe), pairs)
        try:
            for part, boxes in tqdm(
                read, total=len(pairs), desc=title, unit="image", dynamic_ncols=True, disable=None if progress else True
            ):
                scan.extend(part)
                written += [boxes] if boxes else []
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)  # leaving the block would read all the rest first
            raise
    settle_turned([scan])
    if cause := one_cause(written) or _wrong_unit_cause(scan):
        return _unusable(scan, cause)
    return scan


def _wrong_unit_cause(scan: Scan) -> str | None:
    """Say so where nearly all files have numbers too large for their unit, whatever unit that is."""
    found = [finding for finding in scan.findings if finding.subject == UnitError.SUBJECT]
    total = len(found) + sum(len(annotation.labels) > 0 for annotation in scan.annotations)
    if len(found) < max(LEAST, NEARLY_ALL * total):
        return None
    return (
        f"expected shares of the image (0 to 1); the numbers of {len(found)} of {total} files are larger, and fit no "
        f"other unit of their images: are these pixels of images of another size? {found[0].text}"
    )


def _unusable(scan: Scan, cause: str) -> Scan:
    """Return a split of which no box means what it says: its one cause, and what has nothing to do with boxes."""
    of_files = [finding for finding in scan.findings if CHECKS[finding.check].of_a_file]
    kept = [finding for finding in of_files if finding.subject != UnitError.SUBJECT]
    return Scan([], [Finding("box-layout", cause), *kept], [])


def _read_pair(
    pair: Pair, label_of: dict[str, int], known: Sequence[str], hint: str, probe: Callable[[Path], ImageInfo]
) -> tuple[Scan, Written | None]:
    """Return a Scan of one image, its annotation or its errors, and its boxes as they stand in the file.

    `known` are the names to suggest for one that is not.
    """
    scan, labels, image, no_shares, gone = Scan(), None, None, None, Counter[str]()
    try:
        labels = pair.read()
    except UnitError as error:
        no_shares = error.labels
        scan.add("annotation-unreadable", str(error), subject=error.SUBJECT, image=pair.image_path)
    except DatasetError as error:
        scan.add("annotation-unreadable", str(error), image=pair.image_path)
    try:
        image = probe(pair.image_path)
    except DatasetError as error:
        scan.add("image-unreadable", str(error), image=pair.image_path)
    else:
        if max(image.width, image.height) > MOST_ASPECT * min(image.width, image.height):
            text = f"{pair.image_path}: {image.width}x{image.height}, more than {MOST_ASPECT} times as long as wide"
            scan.add("image-too-thin", text, image=pair.image_path)
    if labels:
        labels, gone = _without_ignored(labels, label_of)
        unknown = [item for item in labels.objects if item.name not in label_of]
        _report_unknown(scan, pair, unknown, labels, image, known, hint)
    as_written = labels or no_shares
    written = written_boxes(pair, as_written, image) if as_written and image else None
    if scan.findings or labels is None or image is None:
        return scan, written if no_shares else None
    if image.orientation == 1:
        scan.extend(place(pair, labels, image, label_of, UPRIGHT))
    else:
        scan.extend(place_turned(pair, labels, image, label_of))
    if image.used and scan.annotations:
        scan.used[pair.image_path] = image.used
    if gone and scan.annotations:
        scan.ignored[pair.image_path] = gone
    return scan, written


def _without_ignored(labels: Labels, label_of: Mapping[str, int]) -> tuple[Labels, Counter]:
    """Return the labels without objects of ignored classes, and how many of each class these are."""
    kept = tuple(item for item in labels.objects if label_of.get(item.name) != IGNORED)
    gone = Counter(item.name for item in labels.objects if label_of.get(item.name) == IGNORED)
    return (replace(labels, objects=kept), gone) if gone else (labels, gone)


def _report_unknown(
    scan: Scan,
    pair: Pair,
    objects: Sequence[LabelledObject],
    labels: Labels,
    image: ImageInfo | None,
    known: Sequence[str],
    hint: str,
) -> None:
    unknown: dict[str, list[LabelledObject]] = {}
    for item in objects:
        unknown.setdefault(item.name, []).append(item)
    there_are = f"CLASSES has {', '.join(known[:20])}" + ", …" * (len(known) > 20)
    for name, items in list(unknown.items())[:MAX_UNKNOWN]:
        close = suggestion(name, known) if items[0].named else None
        why = f"did you mean {close!r}?" if close else there_are if items[0].named else hint
        if alike := look_alike(name, known) if items[0].named else None:
            why = f"did you mean {alike!r}? It {how_they_differ(name, alike)}"
        also = f" and {len(items) - 1} more" if len(items) > 1 else ""
        subject = f"unknown class {name!r:.80} ({why})"
        meant = [n for n in known if items[0].named and plain(n) == plain(name)]
        scan.add(
            "unknown-class",
            f"{pair.path}: {items[0].source.split(' (')[0]}{also}: {subject}",
            subject=subject,
            image=pair.image_path,
            boxes=tuple(labels.to_pixels(i.box, (image.width, image.height)) for i in items[:20]) if image else (),
            meant=(name, meant[0]) if len(meant) == 1 else None,
        )
    if len(unknown) > MAX_UNKNOWN:
        text = f"{pair.path}: {len(unknown) - MAX_UNKNOWN} further unknown classes"
        scan.add("unknown-class", text, image=pair.image_path)
