"""The splits of a dataset, read in the format that its configuration names."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from utils.annotations.annotation import Annotation
from utils.annotations.findings import CHECKS
from utils.annotations.reading import read_pairs
from utils.annotations.scan_result import Scan, format_findings
from utils.annotations.turning import settle_turned
from utils.dataset.label_search import search_labels
from utils.dataset.scan_cache import ScanCache
from utils.dataset.split import deal, groups_of
from utils.errors import DatasetError
from utils.files import first_entries
from utils.formats.format import Format, ReadOptions
from utils.formats.formats import FORMATS
from utils.formats.pairs import find_pairs
from utils.images.io import ImageInfo, probe_image
from utils.pairing.other_splits import folders_of_other_splits
from utils.pairing.text_lists import deal_lines, read_split_list

__all__ = ["Annotation", "Scan", "raise_for_errors", "read_split_list", "scan_splits"]

EXPLAINED = ("labels-elsewhere", "no-labels", "box-layout")  # say why a split has no image or no object
MAX_LINES = 100  # errors of a split that a message names

FOLDER_FIELDS = {"images_dir": "images_dir", "labels_dir": "labels_dir", "list": "list_path"}


def scan_splits(
    config,
    names: Collection[str] | None = None,
    *,
    skip_bad: bool = False,
    progress: bool = True,
    cache: Path | None = None,
) -> dict[str, Scan]:
    """Read the splits of a `DatasetConfig`, all or those of `names`; every image is proved to be readable.

    In the folder `cache`, if one is given, a `ScanCache` keeps what files hold that do not change until the next time.

    Faults are findings of the Scans. A split without a usable image and a training split without an object are errors
    whatever `skip_bad` says. Raises DatasetError where a split as a whole cannot be read: a folder or list file that
    is missing.
    """
    if cache is None:
        return _scan_anew(config, names, skip_bad=skip_bad, progress=progress)
    kept = ScanCache(cache, config, names, skip_bad=skip_bad)
    if kept.scans is None:
        kept.store(scans := _scan_anew(config, names, skip_bad=skip_bad, progress=progress, probe=kept.probe))
        return scans
    return kept.scans


def _scan_anew(config, names: Collection[str] | None, **how) -> dict[str, Scan]:
    wanted = config.splits if names is None else names
    parts = ("train", "val", "test")[: 3 if config.test_share else 2] if config.split else ()
    scans = {}
    if set(parts) & set(wanted):
        # Without a usable image all parts lack one for the same cause, which is reported with the training split.
        scans = _divided(scan_split(config, "train", **how), config, parts)
    apart = [name for name in wanted if name not in parts]
    scans |= {name: scan_split(config, name, **how) for name in apart}
    if apart:
        settle_turned(scans.values())  # one split may show what the other leaves open
    first = scans.get("train", Scan())
    for name, scan in scans.items():
        if not any(of.of(check) for of in (scan, *[first] * (name in parts)) for check in EXPLAINED):
            _check_whole(scan, config, name)
        _report_ignored(scan)
    scans = {name: scans[name] for name in config.splits if name in wanted}
    lead = next(iter(scans.values()))
    for text in config.notes:
        lead.add("two-places", text)
    for text in config.test_faults if names is None else ():
        lead.add("test-missing", text)
    reported = {finding.text for finding in lead.of("class-numbers")}
    for scan in scans.values():
        if scan is not lead:
            scan.findings = [f for f in scan.findings if f.check != "class-numbers" or f.text not in reported]
    return scans


def scan_split(
    config,
    name: str,
    *,
    skip_bad: bool = False,
    progress: bool = True,
    lines: list[str] | None = None,
    probe: Callable[[Path], ImageInfo] = probe_image,
) -> Scan:
    """Read one split, "train", "val" or "test", by its folders and list; `lines` are those of the list, if read."""
    if name not in config.splits:
        raise ValueError(f"expected one of the splits {config.splits}, got {name!r}")
    if config.further.get(name):
        return _scan_folders(config, name, config.folders(name), skip_bad=skip_bad, progress=progress, probe=probe)
    list_path = getattr(config, f"{name}_list")
    stems = lines if lines is not None else read_split_list(list_path) if list_path else None
    about, annotation_format = Scan(), FORMATS[config.annotation_format]
    listed = bool(list_path) or not annotation_format.one_file_per_image
    skip = folders_of_other_splits(config, name, about, listed=listed)
    options = ReadOptions(
        config.class_names,
        stems=stems,
        skip=skip,
        renamed=config.renamed,
        ignored=config.ignored,
        numbered=config.numbered,
        kpt_shape=config.kpt_shape,
        one_based=config.one_based,
        progress=progress,
        others=FORMATS.values(),
        probe=probe,
    )
    images_dir, labels_dir = getattr(config, f"{name}_images_dir"), getattr(config, f"{name}_labels_dir")
    scan = read_folder(annotation_format, images_dir, labels_dir, options, skip_bad=skip_bad)
    scan.extend(about)
    search_labels(scan, config, name, FORMATS)
    return scan


def read_folder(
    annotation_format: Format, images_dir: Path, labels_path: Path, options: ReadOptions, *, skip_bad: bool = False
) -> Scan:
    """Pair the images of a folder and of those below it with their annotations, and read them all.

    Boxes are clipped to the image, and dropped where nothing is left. Faults of single files are findings of the Scan.
    Raises DatasetError where a folder cannot be listed, or the file of a whole split not be read.
    """
    scan = Scan()
    found = find_pairs(annotation_format, scan, images_dir, labels_path, options)
    read = read_pairs(
        found.pairs,
        options.class_names,
        renamed=options.renamed,
        ignored=options.ignored,
        title=f"Reading {images_dir.name}",
        progress=options.progress,
        hint=found.hint,
        probe=options.probe,
    )
    scan.extend(read)
    found.finish(scan)
    scan.skip_bad = skip_bad
    return scan


def _scan_folders(config, name: str, folders: Sequence, **how) -> Scan:
    """Read several folders as one split. An image that two of them hold, one below the other, counts once."""
    lines: dict[int, list[str]] = {}
    for list_path in {folder.list_path for folder in folders if folder.list_path}:
        ids = [i for i, folder in enumerate(folders) if folder.list_path == list_path]
        shared_out = deal_lines(read_split_list(list_path), [folders[i].images_dir for i in ids])
        lines |= dict(zip(ids, shared_out, strict=True))
    whole, seen = Scan(skip_bad=how["skip_bad"]), set[Path]()
    for index, folder in enumerate(folders):
        places = {f"{name}_{kind}": getattr(folder, short) for kind, short in FOLDER_FIELDS.items()}
        others = {split: of for split, of in config.further.items() if split != name}
        scan = scan_split(replace(config, further=others, **places), name, lines=lines.get(index), **how)
        ids = [i for i, a in enumerate(scan.annotations) if a.image_path.resolve() not in seen]
        scan.turned = [turned for turned in scan.turned if turned.image_path.resolve() not in seen]
        seen.update(a.image_path.resolve() for a in [*scan.annotations, *scan.turned])
        scan.annotations = [scan.annotations[i] for i in ids]
        scan.thumbnails = [scan.thumbnails[i] for i in ids]
        reported = {finding.text for finding in whole.of("class-numbers")}
        scan.findings = [f for f in scan.findings if f.check != "class-numbers" or f.text not in reported]
        whole.extend(scan)
    return whole


def _divided(scan: Scan, config, parts: Sequence[str]) -> dict[str, Scan]:
    """Divide one folder's scan. Findings go with their image; those without an image go to the training split."""
    groups = groups_of([a.image_path for a in scan.annotations], scan.thumbnails, config.split_groups)
    shares = [share for share in (config.split, config.test_share) if share]
    part_of = deal([a.labels for a in scan.annotations], groups, shares)
    scans: dict[str, Scan] = {}
    split_of: dict[Path | None, str] = {}
    for number, name in enumerate(parts):
        ids = np.flatnonzero(part_of == number).tolist()
        of_ids = [scan.annotations[i] for i in ids]
        ignored = {a.image_path: scan.ignored[a.image_path] for a in of_ids if a.image_path in scan.ignored}
        scans[name] = Scan(of_ids, [], [scan.thumbnails[i] for i in ids], scan.skip_bad, ignored)
        scans[name].outside = scan.outside
        scans[name].used = {a.image_path: scan.used[a.image_path] for a in of_ids if a.image_path in scan.used}
        split_of |= dict.fromkeys((a.image_path for a in of_ids), name)
    for finding in scan.findings:
        scans[split_of.get(finding.image, "train")].findings.append(finding)
    return scans


def _check_whole(scan: Scan, config, name: str) -> None:
    images_dir, labels_dir = getattr(config, f"{name}_images_dir"), getattr(config, f"{name}_labels_dir")
    found = (
        f"{len(scan.of('unlabelled'))} images without annotation file, {len(scan.of('orphaned'))} annotation files "
        f"without image, {len(scan.errors) + len(scan.skipped)} bad files, {len(scan.of('box-dropped'))} boxes dropped"
    )
    if not scan.annotations:
        list_path = getattr(config, f"{name}_list")
        listed = f"; {list_path} lists what counts" if list_path else ""
        labels = f"the labels folder {labels_dir} holds {first_entries(labels_dir)}" if labels_dir.is_dir() else ""
        if scan.of("unlabelled") and not list_path and not (scan.errors or scan.skipped):
            # Without a file that shows the format it is only assumed: no message may read as if it had been asked for.
            titles = ", ".join(known.title for known in FORMATS.values() if known.one_file_per_image)
            found = f"no annotation of any format ({titles}) has the name of an image in {images_dir}; {found}"
        scan.add(
            "no-images",
            f"{images_dir}: no usable image for the {name} split: {found}{listed}; the images folder holds "
            f"{first_entries(images_dir)}, {labels or f'the annotations are {labels_dir}'}",
        )
    elif name == "train" and not any(len(a.labels) for a in scan.annotations):
        scan.add(
            "no-objects",
            f"{labels_dir}: not one object to train on: {len(scan.annotations)} images, all without objects; {found}",
        )


def _report_ignored(scan: Scan) -> None:
    """Add one finding for each ignored class that the split shows."""
    objects = sum(scan.ignored.values(), Counter())
    for name, count in objects.items():
        images = [path for path, gone in scan.ignored.items() if gone[name]]
        shown_on = "1 image, which stays" if len(images) == 1 else f"{len(images)} images, which stay"
        scan.add("ignored", f"{name}: {count} object{'s' * (count > 1)} on {shown_on}", image=images[0])
    scan.ignored.clear()


def raise_for_errors(scans: Mapping[str, Scan]) -> None:
    """Raise one DatasetError with all errors of all the splits, `{"train": Scan, ...}`, if there are any."""
    count = sum(len(scan.errors) for scan in scans.values())
    if not count:
        return
    lines = [f"the dataset has {count} error{'s' if count > 1 else ''}:"]
    for split_name, scan in scans.items():
        found = format_findings(scan.errors)
        lines += [f"  {split_name}: {line}" for line in found[:MAX_LINES]]
        lines += [f"  {split_name}: … and {len(found) - MAX_LINES} more"] if len(found) > MAX_LINES else []
    if any(CHECKS[error.check].of_a_file for scan in scans.values() for error in scan.errors):
        lines.append("Fix or remove these files, or leave them out with --skip-bad; check_dataset.py shows them all.")
    raise DatasetError("\n".join(lines))
