"""Reads an HTML page back, and finds colours in its images."""

import base64
from html.parser import HTMLParser

import cv2
import numpy as np

EMPTY_TAGS = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """A page as parsed; it fails on tags that do not match."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.text, self.ids = [], [], "", []
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, attributes)
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def images(self) -> list[np.ndarray]:
        """The images in it, RGB."""
        found = []
        for image in self.all("img"):
            kind, _, data = image["src"].partition("base64,")
            assert kind == "data:image/jpeg;"
            pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data, validate=True), np.uint8), cv2.IMREAD_COLOR_RGB)
            assert pixels.shape[:2] == (int(image["height"]), int(image["width"])) and image["alt"]
            found.append(pixels)
        return found


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Find the pixels that have a colour, but for what JPEG makes of it, bool (H, W)."""
    return (np.abs(pixels.astype(int) - colour).max(axis=2)) < 60


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of what is set, the last pixel included."""
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())
