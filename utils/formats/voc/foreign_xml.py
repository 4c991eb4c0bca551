"""XML of other tools that holds boxes in its own way: recognised, because its images would pass for negatives."""

import re
from collections.abc import Mapping, Sequence

ROOTS = {  # in lower case
    "annotations": "CVAT's own XML",
    "pcgts": "PAGE XML",
    "alto": "ALTO XML",
    "viper": "ViPER's XML",
    "svg": "a drawing",
    "html": "a web page",
}
BOXES = frozenset("box bbox boundingbox bounding_box rect rectangle polygon polyline ellipse cuboid".split())
COORDINATES = frozenset("xtl ytl xbr ybr xmin ymin xmax ymax x1 y1 x2 y2 points".split())
REMEDY = "export Pascal VOC XML instead"


def remedy(root: str) -> str:
    """Return the end of a message on a file of this root element, without its namespace."""
    kind = ROOTS.get(local_name(root))
    return f"; it looks like {kind}: {REMEDY}" if kind else f"; {REMEDY}"


def box_of_element(open_tags: Sequence[str], tag: str, attributes: Mapping[str, str]) -> str:
    """Return how a message calls the box that an element is, or that the one around it is; "" where neither is one."""
    name, coordinates = local_name(tag), COORDINATES & attributes.keys()
    if len(coordinates) > 1 or (attributes and name in BOXES):
        kind = "; it looks like CVAT's own XML" if "xtl" in coordinates else ""
        return f"<{tag[:40]}> in <{open_tags[-1][:40]}>{kind}" if open_tags else ""
    return _around(open_tags)


def box_of_text(open_tags: Sequence[str], text: str) -> str:
    """Return how a message calls the box whose four or more numbers are the text of an element; "" for another text."""
    return _around(open_tags) if len(re.findall(r"[0-9]+", text)) >= 4 else ""


def local_name(tag: str) -> str:
    """Return a tag in lower case and without its namespace."""
    return tag.rpartition(":")[2].lower()


def _around(open_tags: Sequence[str]) -> str:
    is_box = len(open_tags) > 1 and local_name(open_tags[-1]) in BOXES
    return f"<{open_tags[-1][:40]}> in <{open_tags[-2][:40]}>" if is_box else ""
