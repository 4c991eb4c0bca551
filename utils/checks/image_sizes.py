"""Finds images that the network takes, but hardly sees anything in: by their size, by the values of their samples."""

from collections.abc import Mapping, Sequence

from utils.annotations.annotation import Annotation
from utils.annotations.findings import Finding
from utils.annotations.scan_result import Scan
from utils.images.pixel_range import PixelRange, problem_with
from utils.img_size import model_scale

LONG = 10  # times its width; a panorama of the whole horizon has about 6
SMALL = 16  # pixels of the short side; two cells of the finest feature map that a network has, before it is stretched


def image_findings(annotations: Sequence[Annotation], img_size: int) -> list[Finding]:
    """Find images that are longer than `LONG` times their width or smaller than `SMALL` pixels."""
    found = []
    for annotation in annotations:
        width, height = annotation.width, annotation.height
        scale = model_scale((height, width), img_size)
        seen = f"{max(1, round(width * scale))}x{max(1, round(height * scale))} pixels"
        about = f"{annotation.image_path.name}: {width}x{height}"
        if max(width, height) > LONG * min(width, height):
            text = f"{about}, shown to the network as {seen} at --img-size {img_size}"
        elif min(width, height) < SMALL:
            text = f"{about}, stretched to {seen} at --img-size {img_size}"
        else:
            continue
        found.append(Finding("image-odd", text, image=annotation.image_path))
    return found


def range_findings(scans: Mapping[str, Scan], pixel_range: PixelRange | None) -> dict[str, list[Finding]]:
    """Find, for each split, images whose samples of more than eight bits do not become eight bits well."""
    found: dict[str, list[Finding]] = {split: [] for split in scans}
    for split, scan in scans.items():
        if scan.used and (problem := problem_with(list(scan.used.values()), pixel_range)):
            first = next(iter(scan.used))
            count = f"{len(scan.used)} image{'s' if len(scan.used) > 1 else ''} of more than eight bits"
            found[split].append(Finding("pixel-range", f"{count}, such as {first.name}: {problem}", image=first))
    if pixel_range and not any(scan.used for scan in scans.values()):
        text = f"PIXEL_RANGE {list(pixel_range)} changes nothing, because no image has more than eight bits"
        found["train"].append(Finding("pixel-range", text))
    return found
