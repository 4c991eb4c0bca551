"""Images of a size that the network can take, but hardly see anything in."""

from collections.abc import Sequence

from utils.findings import Finding
from utils.geometry import model_scale
from utils.scan import Annotation

LONG = 10  # times its width; a panorama of the whole horizon has about 6
SMALL = 16  # pixels of the short side; two cells of the finest feature map that a network has, before it is stretched


def image_findings(annotations: Sequence[Annotation], img_size: int) -> list[Finding]:
    """A finding for each image that is longer than `LONG` times its width or smaller than `SMALL` pixels."""
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
