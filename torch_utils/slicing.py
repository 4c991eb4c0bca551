"""Detection in windows of a large image, for objects too small to survive its resizing, and one list from all."""

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from torchvision.ops import nms

from utils.annotations.boxes import LEAST_AREA, box_area, box_iou, clip_boxes
from utils.detections import Detections

# All shares are of pixels; 0.5 is also where the detector itself calls two boxes one object.
SAME = 0.5  # IoU, in what two windows both see, from which two boxes are one object
INSIDE = 0.7  # share of a cut box inside another one, from which it is that object's piece
EDGE_SHARE = 0.02  # of the window's side: how near a window's border a box counts as cut by it


class SlicedPredictor:
    """A predictor that detects in windows of each image, and at the whole of it for what no window holds.

    Takes and returns what `torch_utils.predictor.Predictor` does. An object that several windows see is found once:
    boxes of one class are the same object where they agree in the part of the image that both windows show. Of them
    the best that no window cuts is kept; else the whole image's box; else the pieces are put together.

    Args:
        predictor: list of RGB uint8 (H, W, 3) arrays -> list of `Detections`.
        size: side of the square windows, pixels of the image; an image no larger is given as it is.
        overlap: least share of a window that its neighbour repeats, 0 to 0.9. An object whole in a window is found
            best, so it should cover the objects that are small.
        batch_size: windows per call of the predictor.
        threshold: detections with a lower score take no part.
    """

    def __init__(
        self,
        predictor: Callable[[Sequence[np.ndarray]], list[Detections]],
        size: int,
        overlap: float = 0.2,
        *,
        batch_size: int = 4,
        threshold: float = 0.0,
    ):
        if size < 1 or not 0 <= overlap <= 0.9 or batch_size < 1:
            raise ValueError(
                f"expected sizes from 1 and an overlap of 0 to 0.9, got {size=}, {overlap=}, {batch_size=}"
            )
        self.predictor = predictor
        self.size = size
        self.overlap = overlap
        self.batch_size = batch_size
        self.threshold = threshold

    @property
    def capped(self) -> int:
        """As in `Predictor`, of windows and whole images."""
        return self.predictor.capped

    @property
    def pixel_range(self):
        """As in `Predictor`."""
        return self.predictor.pixel_range

    @property
    def max_detections(self) -> int:
        """Return the most detections of a window."""
        return self.predictor.max_detections

    def padded_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Return (0, 0) for any image: the images of a batch need not be alike, because each is looked at by itself."""
        return 0, 0

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Detect in RGB uint8 (H, W, 3) arrays; returns one `Detections` each, best first."""
        return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> Detections:
        size_hw = image.shape[:2]
        (whole,) = (found.above(self.threshold) for found in self.predictor([image]))
        windows = window_grid(size_hw, self.size, self.overlap)
        if len(windows) == 1:
            return whole
        found = []
        for start in range(0, len(windows), self.batch_size):
            batch = windows[start : start + self.batch_size]
            found += self.predictor([image[y1:y2, x1:x2] for x1, y1, x2, y2 in batch.tolist()])
        found = [part.above(self.threshold) for part in found]
        return merge_windows(windows, found, whole, size_hw)


def window_grid(size_hw: tuple[int, int], size: int, overlap: float) -> np.ndarray:
    """Return windows that cover an image of `size_hw` (height, width): (K, 4) int64 xyxy, row by row.

    All are `size` wide and high where the image is, and evenly spread, so that none but an image's own border is
    far from the middle of another window.
    """
    starts = []
    for length in size_hw:
        step = max(1, int(size * (1 - overlap)))
        count = 1 + math.ceil(max(0, length - size) / step)
        starts.append(np.linspace(0, max(0, length - size), count).round().astype(int).tolist())
    height, width = size_hw
    return np.array([(x, y, min(x + size, width), min(y + size, height)) for y, x in product(*starts)], np.int64)


def merge_windows(
    windows: np.ndarray, found: Sequence[Detections], whole: Detections, size_hw: tuple[int, int]
) -> Detections:
    """Merge into one `Detections` for an image of `size_hw` (height, width), best first.

    Args:
        windows: (K, 4) int, xyxy in the image.
        found: K `Detections`, in pixels of their window.
        whole: what the whole image gave.
    """
    height, width = size_hw
    boxes = [part.boxes + np.tile(window[:2], 2) for part, window in zip(found, windows, strict=True)]
    boxes = np.concatenate([*boxes, whole.boxes]).astype(np.float64)
    scores = np.concatenate([part.scores for part in (*found, whole)])
    labels = np.concatenate([part.labels for part in (*found, whole)])
    views = np.repeat(np.arange(len(found) + 1), [len(part) for part in (*found, whole)])
    rects = np.vstack([windows, [0, 0, width, height]])

    # The overlap that the grid came to hold; whatever fits into it is whole in some window.
    overlap = [int((sides[0] + size - sides[1]) if len(sides) > 1 else size) for sides, size in _axes(windows)]
    kept = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        merged, score = _merge_class(boxes[mine], scores[mine], views[mine], rects, overlap)
        kept.append(Detections(merged.astype(np.float32), score, np.full(len(score), label, np.int64)))
    if not kept:
        return whole
    boxes, scores, labels = (np.concatenate([getattr(part, name) for part in kept]) for name in _FIELDS)
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order], scores[order], labels[order])


_FIELDS = ("boxes", "scores", "labels")


def _axes(windows: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Return, of x and y, where windows start, ascending, and how long they are."""
    return [(np.unique(windows[:, axis]), int(windows[0, axis + 2] - windows[0, axis])) for axis in (0, 1)]


def _merge_class(
    boxes: np.ndarray, scores: np.ndarray, views: np.ndarray, rects: np.ndarray, overlap: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (M, 4) and scores (M,) of one class, each object once.

    boxes: (N, 4) float64 in the image. views: (N,) index of the rectangle in `rects` (K + 1, 4) that showed it, the
    last one being the whole image.
    """
    whole = len(rects) - 1
    edge = EDGE_SHARE * (rects[0, 2:] - rects[0, :2]).max()
    shown = rects[views]
    inner = np.concatenate([shown[:, :2] > rects[whole, :2], shown[:, 2:] < rects[whole, 2:]], axis=1)
    cut = (np.abs(boxes - shown) <= edge) & inner  # (N, 4): left, top, right, bottom

    # What fits into the overlap is whole in a window, which shows it larger than the whole image does.
    sides = boxes[:, 2:] - boxes[:, :2]
    coarse = (views == whole) & (sides <= overlap).all(axis=1)
    for i in np.flatnonzero(coarse):
        coarse[i] = (_share_inside(boxes[i], boxes[views != whole]) > SAME).any()
    boxes, scores, views, shown, cut = (array[~coarse] for array in (boxes, scores, views, shown, cut))

    groups = _group(boxes, views, shown, cut, edge)
    picked, best, open_sides = [], [], []
    for members in groups:
        entire = members[(~cut[members]).all(axis=1)]
        windowed = entire[views[entire] != whole]
        choice = windowed if len(windowed) else entire
        if len(choice):
            picked.append(boxes[choice[scores[choice].argmax()]])
        else:
            picked.append(np.concatenate([boxes[members, :2].min(axis=0), boxes[members, 2:].max(axis=0)]))
        best.append(scores[members].max())
        # A side stays open where the outermost box still ends at its window's border.
        outermost = np.abs(boxes[members] - picked[-1]) <= edge
        open_sides.append(not len(choice) and (cut[members] & outermost).any())
    picked, best = np.array(picked), np.array(best, np.float32)

    keep = np.ones(len(picked), bool)
    for i in np.flatnonzero(open_sides):
        # A piece of what another box holds whole: a sliver, or a part that the detector outlined otherwise.
        others = keep.copy()
        others[i] = False
        larger = others & ((picked[:, 2:] - picked[:, :2]).prod(axis=1) > (picked[i, 2:] - picked[i, :2]).prod())
        keep[i] = not (_share_of(picked[i], picked[larger]) >= INSIDE).any()
    picked, best = picked[keep], best[keep]
    last = nms(torch.from_numpy(picked), torch.from_numpy(best).double(), SAME).numpy()
    return picked[last], best[last]


def _group(boxes: np.ndarray, views: np.ndarray, shown: np.ndarray, cut: np.ndarray, edge: float) -> list[np.ndarray]:
    """Return the indices of boxes that are one object, greedily from the pair that agrees best.

    Two boxes of one window stay apart, also through third ones: the detector saw both, and called them two objects.
    """
    pairs = []
    for i in range(len(boxes) - 1):
        j = np.arange(i + 1, len(boxes))
        zone = np.concatenate([np.maximum(shown[i, :2], shown[j, :2]), np.minimum(shown[i, 2:], shown[j, 2:])], axis=1)
        one, other = clip_boxes(boxes[i], zone), clip_boxes(boxes[j], zone)
        agreement = box_iou(one, other)
        # Whoever reaches out of the other's window must be cut there by it.
        fits = _ends_where(boxes[i], boxes[j], shown[j], cut[j], edge)
        fits &= _ends_where(boxes[j], boxes[i], shown[i], cut[i], edge)
        for k in np.flatnonzero(fits & (agreement >= SAME) & (views[j] != views[i])):
            pairs.append((agreement[k], i, int(j[k])))
    group = [{i} for i in range(len(boxes))]
    seen = [{int(view)} for view in views]
    for _, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if group[i] is group[j] or seen[i] & seen[j]:
            continue
        joined, views_of = group[i] | group[j], seen[i] | seen[j]
        for member in joined:
            group[member], seen[member] = joined, views_of
    return [np.array(sorted(members)) for i, members in enumerate(group) if min(members) == i]


def _ends_where(box: np.ndarray, other: np.ndarray, window: np.ndarray, cut: np.ndarray, edge: float) -> np.ndarray:
    """Check whether `other`, seen in `window`, is cut on every side on which `box` reaches out of that window."""
    reaches = np.concatenate(
        [box[..., :2] < window[..., :2] - edge, box[..., 2:] > window[..., 2:] + edge], axis=-1
    )  # (N, 4)
    return (~reaches | cut).all(axis=-1)


def _share_inside(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over the smaller of `box` (4,) and each of `others` (N, 4)."""
    return box_area(clip_boxes(box, others)) / np.maximum(np.minimum(box_area(box), box_area(others)), LEAST_AREA)


def _share_of(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of `box` (4,) that each of `others` (N, 4) holds."""
    return box_area(clip_boxes(box, others)) / max(float(box_area(box)), LEAST_AREA)
