"""Folders of images and annotation files, written from their names."""

from support.voc_files import element, write_image, xml

YOLO_LINE = "0 0.5 0.5 0.5 0.5\n"


def write(root, *names):
    """Small images and annotations of one object each, of the kind that the names' suffixes say."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".xml":
            path.write_text(xml(element()))
        elif path.suffix == ".txt":
            path.write_text(YOLO_LINE)
        else:
            write_image(path)
    return root
