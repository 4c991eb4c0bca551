"""A supersampled canvas that knows which item is seen at each of its pixels, and the outlines that are drawn on it.

Points are float arrays `(N, 2)` of x, y in pixels of the finished image; colours are "#rrggbb".
"""

import cv2
import numpy as np

SCALE = 2  # supersampling: with cv2's own anti-aliasing, 3 looks no better and costs twice as much
SHIFT = 4  # fractional bits of cv2's fixed-point coordinates


def ink(color, light=0.0):
    """Return BGR of "#rrggbb", mixed towards white (`light` > 0, at most 1) or black (`light` < 0, at least -1)."""
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return tuple(float(c + (255 - c) * light if light > 0 else c * (1 + light)) for c in reversed(rgb))


def ellipse(cx, cy, rx, ry=None, start=0.0, stop=360.0):
    """Return points on an ellipse from angle `start` to `stop`, degrees clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 33))
    return np.stack([cx + rx * np.cos(angles), cy + (rx if ry is None else ry) * np.sin(angles)], 1)


def capsule(a, b, radius_a, radius_b):
    """Return outline of a limb: the hull of a circle at each end."""
    ends = np.concatenate([ellipse(*a, radius_a), ellipse(*b, radius_b)])
    return cv2.convexHull(ends.astype(np.float32))[:, 0].astype(float)


def smooth(points, rounds=3):
    """Return closed outline with its corners cut `rounds` times (Chaikin)."""
    points = np.asarray(points, float)
    for _ in range(rounds):
        ahead = np.roll(points, -1, 0)
        points = np.stack([0.75 * points + 0.25 * ahead, 0.25 * points + 0.75 * ahead], 1).reshape(-1, 2)
    return points


def box(x1, y1, x2, y2, radius=0.0):
    """Return outline of a rectangle, its corners rounded by `radius`."""
    if not radius:
        return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], float)
    r = radius
    corners = ((x2 - r, y2 - r, 0), (x1 + r, y2 - r, 90), (x1 + r, y1 + r, 180), (x2 - r, y1 + r, 270))
    return np.concatenate([ellipse(x, y, r, r, start, start + 90)[::4] for x, y, start in corners])


def mirrored(half):
    """Return closed outline from its right half, listed from top to bottom."""
    half = np.asarray(half, float)
    return np.concatenate([half, half[::-1] * [-1, 1]])


class Canvas:
    """Image in the making.

    Two maps hold the id of the item seen at each pixel: `solid` for opaque things, `clear` for see-through ones, so
    that a mask behind a visor keeps its pixels while both vanish behind whatever opaque is drawn later.

    Args:
        width, height: size of the finished image in pixels.
        background: BGR uint8 `(height * SCALE, width * SCALE, 3)` to start from; white if absent.
    """

    def __init__(self, width, height, background=None):
        self.width, self.height = width, height
        shape = (height * SCALE, width * SCALE)
        self.image = np.full((*shape, 3), 255, np.uint8) if background is None else background.copy()
        self.solid, self.clear = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        self.names = [None]  # id → class name; 0 is no item
        self._extents = [None]
        self._drawn = [0]

    def new_item(self, name):
        """Return id for an item about to be drawn."""
        self.names.append(name)
        self._extents.append(np.array([np.inf, np.inf, -np.inf, -np.inf]))
        self._drawn.append(0)
        return len(self.names) - 1

    def settle(self, item):
        """Take the pixels the item has now as all that it has: what is drawn later hides it."""
        self._drawn[item] = self._mask(item).sum()

    def visible_boxes(self, min_visible=0.25, min_side=5):
        """Return `[(class name, (x1, y1, x2, y2), truncated)]` of the visible items: ints, tight, x2 and y2 exclusive.

        An item is left out when less than `min_visible` of it is seen, the border's part in that estimated from the
        extent, or when a side is under `min_side` pixels.
        """
        found = []
        for item in range(1, len(self.names)):
            mask = self._mask(item)
            columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            if not len(columns):
                continue
            x1, y1 = columns[0] // SCALE, rows[0] // SCALE
            x2, y2 = columns[-1] // SCALE + 1, rows[-1] // SCALE + 1
            low, high = self._extents[item][:2], self._extents[item][2:]
            size = [self.width, self.height]
            inside = np.prod(np.minimum(high, size) - np.maximum(low, 0)) / np.prod(high - low)
            if inside * mask.sum() / max(self._drawn[item], 1) < min_visible or min(x2 - x1, y2 - y1) < min_side:
                continue
            truncated = bool((low < -0.5).any() or (high > np.add(size, 0.5)).any())
            found.append((self.names[item], (int(x1), int(y1), int(x2), int(y2)), truncated))
        return found

    def finished(self):
        """Return the image as BGR uint8 `(height, width, 3)`."""
        return cv2.resize(self.image, (self.width, self.height), interpolation=cv2.INTER_AREA)

    def fill(self, parts, color, item=0, *, light=0.0, outline=0.0, shade=0.0):
        """Fill an outline, or the union of several.

        Args:
            item: id the pixels get; 0 for an opaque thing of no class, None for a detail on what is there already.
            outline: width of the darker contour in pixels.
            shade: width in pixels of the soft shadow inside the lower right edge.
        """
        parts = [self._fixed(p) for p in (parts if np.ndim(parts[0]) == 2 else [parts])]
        thick = max(1, round(outline * SCALE)) if outline else 0
        if thick:
            edge = ink(color, light - 0.38 if light <= 0 else -0.3)
            for part in parts:
                cv2.polylines(self.image, [part], True, edge, thick, cv2.LINE_AA, SHIFT)
        for part in parts:
            cv2.fillPoly(self.image, [part], ink(color, light), cv2.LINE_AA, SHIFT)
        if shade:
            self._shade(parts, max(2, round(shade * SCALE)))
        if item is not None:
            for part in parts:
                for ids, value in ((self.solid, item), (self.clear, 0)):
                    cv2.fillPoly(ids, [part], value, cv2.LINE_8, SHIFT)
                    if thick:
                        cv2.polylines(ids, [part], True, value, thick, cv2.LINE_8, SHIFT)
            self._extend(item, parts, thick)

    def line(self, points, color, width, *, light=0.0, item=None, closed=False):
        """Draw a line `width` pixels wide; `item` as in `fill`."""
        fixed, thick = self._fixed(points), max(1, round(width * SCALE))
        cv2.polylines(self.image, [fixed], closed, ink(color, light), thick, cv2.LINE_AA, SHIFT)
        if item is not None:
            cv2.polylines(self.solid, [fixed], closed, item, thick, cv2.LINE_8, SHIFT)
            self._extend(item, [fixed], thick)

    def glaze(self, points, color, alpha, item=None, *, blur=0.0):
        """Mix a see-through fill in; what is behind keeps its pixels. `blur` in pixels softens the edge."""
        fixed, soft = self._fixed(points), round(blur * SCALE) * 2 + 1
        window = self._window([fixed], soft)
        if window is None:
            return
        mask = self._stencil([fixed], window)
        if soft > 1:
            mask = cv2.blur(cv2.blur(mask, (soft, soft)), (soft, soft))
        view = self.image[window]
        weight = cv2.merge([mask] * 3)
        gain = np.empty_like(view)
        gain[:] = np.round(ink(color))
        rest = cv2.multiply(view, cv2.bitwise_not(weight), scale=alpha / 255)
        mixed = cv2.multiply(gain, weight, scale=alpha / 255)
        cv2.add(cv2.add(cv2.convertScaleAbs(view, alpha=1 - alpha), rest), mixed, dst=view)
        if item is not None:
            cv2.fillPoly(self.clear, [fixed], item, cv2.LINE_8, SHIFT)
            self._extend(item, [fixed], 0)

    def gradient(self, x1, y1, x2, y2, top, bottom):
        """Draw a vertical blend of two colours in a rectangle."""
        x1, y1, x2, y2 = (max(0, round(v * SCALE)) for v in (x1, y1, x2, y2))
        view = self.image[y1:y2, x1:x2]
        mix = np.linspace(0, 1, len(view))[:, None]
        view[:] = np.round(np.array(ink(top)) * (1 - mix) + np.array(ink(bottom)) * mix)[:, None]

    def _mask(self, item):
        return (self.solid == item) | (self.clear == item)

    def _fixed(self, points):
        return np.rint(np.asarray(points) * (SCALE << SHIFT)).astype(np.int32)

    def _extend(self, item, parts, thick):
        if item:
            points = np.concatenate(parts) / (SCALE << SHIFT)
            extent, margin = self._extents[item], thick / 2 / SCALE
            extent[:2] = np.minimum(extent[:2], points.min(0) - margin)
            extent[2:] = np.maximum(extent[2:], points.max(0) + margin)

    def _window(self, parts, margin):
        points = np.concatenate(parts) >> SHIFT
        x1, y1 = np.maximum(points.min(0) - margin, 0)
        x2, y2 = np.minimum(points.max(0) + margin + 2, self.solid.shape[::-1])
        return (slice(y1, y2), slice(x1, x2)) if x1 < x2 and y1 < y2 else None

    def _stencil(self, parts, window):
        mask = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
        corner = np.array([window[1].start, window[0].start]) << SHIFT
        for part in parts:
            cv2.fillPoly(mask, [(part - corner).astype(np.int32)], 255, cv2.LINE_AA, SHIFT)
        return mask

    def _shade(self, parts, depth):
        window = self._window(parts, depth + 2)
        if window is None:
            return
        mask, view, soft = self._stencil(parts, window), self.image[window], (depth | 1, depth | 1)
        for side, change, amount in ((1, cv2.subtract, 0.30), (-1, cv2.add, 0.10)):
            dx, dy = side * depth, side * (depth // 2)
            # Edge values repeat, so that a figure cut by the border gets no shadow along it.
            moved = cv2.warpAffine(mask, np.float32([[1, 0, -dx], [0, 1, -dy]]), mask.shape[::-1],
                                   flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
            rim = cv2.min(cv2.blur(cv2.subtract(mask, moved), soft), mask)
            change(view, cv2.multiply(view, cv2.merge([rim] * 3), scale=amount / 255), dst=view)


class Pen:
    """Draws on a canvas in its own coordinates: `origin` in pixels, a `unit` of so many, turned by `angle` degrees."""

    def __init__(self, canvas, origin, unit, angle):
        self.canvas, self.origin, self.unit, self.angle = canvas, origin, unit, angle
        self.edge = max(0.8, 0.017 * unit)
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        self._axes = unit * np.array([[cosine, sine], [-sine, cosine]])

    def moved(self, origin, angle):
        """Return a pen whose origin is at `origin` of this one, turned by `angle` more."""
        return Pen(self.canvas, self._at(origin), self.unit, self.angle + angle)

    def fill(self, parts, color, item=0, *, light=0.0, shade=0.0, edge=1.0):
        """Do as `Canvas.fill`, with a contour `edge` times the usual."""
        parts = [self._at(p) for p in (parts if np.ndim(parts[0]) == 2 else [parts])]
        self.canvas.fill(parts, color, item, light=light, outline=edge * self.edge, shade=shade * self.unit)

    def patch(self, points, color, light=0.0):
        """Fill a detail without a contour, on what is there already."""
        self.canvas.fill(self._at(points), color, None, light=light)

    def detail(self, points, color, width, light=0.0, *, closed=False):
        """Draw a line on what is there already."""
        self.canvas.line(self._at(points), color, max(0.5, width * self.unit), light=light, closed=closed)

    def glaze(self, points, color, alpha, item=None, *, blur=0.0):
        self.canvas.glaze(self._at(points), color, alpha, item, blur=blur * self.unit)

    def _at(self, points):
        return self.origin + np.asarray(points, float) @ self._axes
