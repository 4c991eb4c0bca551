"""Writes the small images and Pascal VOC files that the tests read back."""

from PIL import Image

CLASSES = ("__background__", "Mask", "Gloves")


def write_image(path, size=(40, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 150)).save(path, **options)


def element(name="Mask", box=(1, 2, 11, 12), extra=""):
    corners = "".join(f"<{t}>{v}</{t}>" for t, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def xml(*objects, size=None):
    width_height = "<size><width>{}</width><height>{}</height><depth>3</depth></size>".format(*size) if size else ""
    return f"<annotation><filename>wrong.png</filename>{width_height}{''.join(objects)}</annotation>"
