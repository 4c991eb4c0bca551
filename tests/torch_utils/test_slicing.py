"""Windows over a large image: every object found once, wherever the seams lie."""

import cv2
import numpy as np
import pytest

from torch_utils.slicing import SlicedPredictor, merge_windows, window_grid
from utils.annotations.boxes import box_iou
from utils.detections import Detections


class BlobDetector:
    """Finds connected patches of pure red (label 1) and pure green (label 2), with the interface of a predictor.

    Like a network it looks at an image shrunk to `resolution` pixels and sees nothing smaller than three of those.
    """

    def __init__(self, resolution=10_000, blind_above=None):
        self.resolution = resolution
        self.blind_above = blind_above  # images with a longer side give nothing
        self.shapes = []

    def __call__(self, images):
        self.shapes += [image.shape[:2] for image in images]
        return [self.detect(image) for image in images]

    def detect(self, image):
        scale = min(1.0, self.resolution / max(image.shape[:2]))
        if self.blind_above and max(image.shape[:2]) > self.blind_above:
            image = np.zeros_like(image)
        shrunk = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        boxes, scores, labels = [], [], []
        for label in (1, 2):
            mask = (shrunk[..., label - 1] > 127).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
            for x, y, w, h, area in stats[1:].tolist():
                if min(w, h) >= 3:
                    boxes.append([x, y, x + w, y + h])
                    scores.append(area / (area + 500))
                    labels.append(label)
        boxes = np.array(boxes, np.float32).reshape(-1, 4) / np.float32(scale)
        return Detections(boxes, np.array(scores, np.float32), np.array(labels, np.int64))


def painted(size_hw, boxes, labels=None):
    image = np.zeros((*size_hw, 3), np.uint8)
    for (x1, y1, x2, y2), label in zip(boxes, labels or [1] * len(boxes), strict=True):
        image[y1:y2, x1:x2, label - 1] = 255
    return image


def assert_found(found, boxes, labels=None, atol=1.0):
    """Each box once and nothing else, in any order."""
    expected = np.array([[*box, label] for box, label in zip(boxes, labels or [1] * len(boxes), strict=True)])
    got = np.column_stack([found.boxes, found.labels])
    assert len(got) == len(expected), f"expected {expected.tolist()}, got {got.tolist()}"
    for row in expected:
        nearest = np.abs(got - row).max(axis=1).min()
        assert nearest <= atol, f"{row.tolist()} is {nearest} px away from the nearest of {got.tolist()}"
    assert (np.diff(found.scores) <= 0).all()


# Windows of 200 px with 0.2 overlap on 680x520 (w x h): x from 0, 160, 320, 480; y from 0, 160, 320.
SIZE_HW = (520, 680)
PLACES = {
    "inside": [(30, 40, 60, 90)],
    "in the overlap of two": [(165, 20, 195, 50)],
    "across one seam": [(140, 50, 240, 90)],
    "across one seam, wider than the overlap": [(100, 60, 300, 100)],
    "across the corner of four": [(150, 150, 215, 215)],
    "across the corner of four, larger than the overlap": [(110, 120, 260, 250)],
    "touching a window's border from inside": [(150, 30, 200, 60)],
    "touching a window's border from outside": [(200, 30, 240, 60)],
    "larger than a window": [(50, 40, 600, 130)],
    "over all windows": [(20, 30, 650, 500)],
    "the whole image": [(0, 0, 680, 520)],
    "at the image's borders": [(0, 0, 30, 25), (640, 480, 680, 520), (300, 0, 380, 30)],
    "side by side at a seam": [(150, 50, 178, 90), (180, 50, 210, 90)],
    "side by side, both larger than the overlap": [(60, 50, 198, 90), (200, 50, 330, 90)],
    "one above the other across a seam": [(120, 40, 260, 80), (120, 82, 260, 130)],
    "rows of small ones": [(x, y, x + 12, y + 12) for x in range(10, 660, 14) for y in (150, 164, 178, 192, 206)],
    "a long one beside a short one": [(100, 150, 420, 180), (170, 182, 200, 230)],
    "none": [],
}


@pytest.mark.parametrize("boxes", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("whole", ["whole image seen", "windows alone"])
def test_each_object_is_found_once_and_whole(boxes, whole):
    detector = BlobDetector(blind_above=300 if whole == "windows alone" else None)
    (found,) = SlicedPredictor(detector, 200, 0.2)([painted(SIZE_HW, boxes)])
    assert_found(found, boxes)


def test_small_objects_that_the_whole_image_loses_are_found_beside_a_large_one():
    small = [(x, y, x + 15, y + 11) for x in (40, 325, 700, 1290, 1700) for y in (33, 330, 610)]
    boxes = [*small, (300, 700, 1500, 1150)]
    image = painted((1200, 1800), boxes)
    detector = BlobDetector(resolution=320)
    assert_found(detector([image])[0], boxes[-1:], atol=8)
    (found,) = SlicedPredictor(detector, 320, 0.2)([image])
    assert_found(found, boxes, atol=8)
    for box in small:  # not the whole image's coarse one
        assert np.abs(found.boxes - box).max(axis=1).min() <= 1


def test_a_coarse_second_look_does_not_double_a_middling_object():
    """At a tenth of the size a 57 px object is about six pixels, and its box is off by a fifth."""
    boxes = [(1003, 1007, 1060, 1064), (2155, 333, 2212, 390), (2216, 333, 2273, 390)]
    (found,) = SlicedPredictor(BlobDetector(resolution=400), 400, 0.25)([painted((3000, 4000), boxes)])
    assert_found(found, boxes)


def test_classes_are_kept_apart():
    boxes, labels = [(120, 50, 260, 90), (125, 55, 270, 95)], [1, 2]
    image = painted(SIZE_HW, boxes, labels)
    (found,) = SlicedPredictor(BlobDetector(blind_above=300), 200, 0.2)([image])
    assert_found(found, boxes, labels)


def visible(objects, window, least=0.1):
    """Detect as an ideal detector would in a window: the visible part of every object that shows enough of itself."""
    start = np.maximum(objects[:, :2], window[:2])
    end = np.minimum(objects[:, 2:], window[2:])
    area = np.clip(end - start, 0, None).prod(axis=1)
    share = area / (objects[:, 2:] - objects[:, :2]).prod(axis=1)
    keep = (area > 0) & (share >= least)
    boxes = (np.concatenate([start, end], axis=1)[keep] - np.tile(window[:2], 2)).astype(np.float32)
    return Detections(boxes, share[keep].astype(np.float32), np.ones(len(boxes), np.int64))


def crowd(rng, count, size_hw, least, most):
    """Boxes that overlap one another, but not so much that a detector would take two for one."""
    height, width = size_hw
    boxes = np.zeros((0, 4))
    while len(boxes) < count:
        w, h = rng.uniform(least, most, 2)
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        more = np.vstack([boxes, [x, y, x + w, y + h]])
        if box_iou(more[:, None], more)[-1, :-1].max(initial=0) < 0.3:
            boxes = more
    return boxes


@pytest.mark.parametrize(("least", "most"), [(12, 60), (30, 128)])
def test_crowds_that_fit_into_the_overlap_come_out_exactly(least, most):
    rng = np.random.default_rng(5)
    size_hw = (1400, 1700)
    windows = window_grid(size_hw, 640, 0.2)
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    for _ in range(10):
        objects = crowd(rng, 60, size_hw, least, most)
        found = merge_windows(windows, [visible(objects, window) for window in windows], none, size_hw)
        assert_found(found, objects.tolist(), atol=1e-3)


def test_two_large_overlapping_objects_across_a_seam_stay_two():
    objects = np.array([[400, 100, 630, 400], [520, 110, 800, 420]], np.float64)  # windows: 0..640 and 512..1152
    windows = window_grid((640, 1152), 640, 0.2)
    assert windows[:, 0].tolist() == [0, 512]
    none = visible(objects[:0], windows[0])
    found = merge_windows(windows, [visible(objects, window) for window in windows], none, (640, 1152))
    assert_found(found, objects.tolist(), atol=13)


@pytest.mark.parametrize(("size_hw", "size", "overlap"), [((480, 640), 200, 0.2), ((97, 1000), 100, 0.5)])
@pytest.mark.parametrize("extra", [0, 1, 37])
def test_windows_cover_the_image_with_the_overlap_asked_for(size_hw, size, overlap, extra):
    height, width = size_hw[0] + extra, size_hw[1] + extra
    windows = window_grid((height, width), size, overlap)
    sides = windows[:, 2:] - windows[:, :2]
    assert (sides == [min(size, width), min(size, height)]).all()
    covered = np.zeros((height, width), bool)
    for x1, y1, x2, y2 in windows:
        covered[y1:y2, x1:x2] = True
    assert covered.all() and windows.min() >= 0
    for axis, length in ((0, width), (1, height)):
        starts = np.unique(windows[:, axis])
        assert starts[-1] + min(size, length) == length
        assert (np.diff(starts) <= size * (1 - overlap)).all()


def test_a_image_no_larger_than_a_window_is_given_as_it_is():
    image = painted((150, 200), [(20, 20, 60, 60)])
    detector = BlobDetector()
    (found,) = SlicedPredictor(detector, 200, 0.2)([image])
    assert detector.shapes == [(150, 200)]
    assert_found(found, [(20, 20, 60, 60)])


def test_several_images_the_threshold_and_the_batches():
    images = [painted(SIZE_HW, PLACES[name]) for name in ("inside", "none", "across one seam")]
    detector = BlobDetector()
    found = SlicedPredictor(detector, 200, 0.2, batch_size=5)(images)
    for one, name in zip(found, ("inside", "none", "across one seam"), strict=True):
        assert_found(one, PLACES[name])
    assert len(detector.shapes) == 3 * (1 + 12)
    none = SlicedPredictor(detector, 200, 0.2, threshold=0.95)(images)
    assert [len(one) for one in none] == [0, 0, 0]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"overlap": 0.95}, {"batch_size": 0}])
def test_values_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="expected sizes from 1 and an overlap of 0 to 0.9"):
        SlicedPredictor(BlobDetector(), **({"size": 100} | wrong))
