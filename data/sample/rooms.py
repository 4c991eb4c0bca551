"""Rooms as backgrounds and things in front of the people, drawn at random from a NumPy `Generator`."""

import numpy as np

from sample.canvas import box, capsule, ellipse, smooth

CLOTH = ("#c8443a", "#e0b040", "#44546a", "#8a9a5a", "#d88aa0", "#f0f0ee", "#2f2f34", "#5a86c0")
BOXES = (*CLOTH, "#8fc3de", "#f5f5f2", "#b8dcc8")


def pick(rng, options):
    return options[int(rng.integers(len(options)))]


def wall_and_floor(c, floor, wall, ground):
    c.gradient(0, 0, c.width, floor, wall[0], wall[1])
    c.gradient(0, floor, c.width, c.height, ground[0], ground[1])


def window_view(c, x, y, w, h, rng):
    c.fill(box(x - 5, y - 5, x + w + 5, y + h + 5), "#f2f2ee", outline=0.8)
    c.gradient(x, y, x + w, y + h, "#9cc8e8", "#e2f0f6")
    for _ in range(3):
        cx, cy = x + rng.uniform(0.15, 0.85) * w, y + h
        c.fill(np.clip(ellipse(cx, cy, w * 0.22, h * rng.uniform(0.15, 0.4)), [x, y], [x + w, y + h]), "#8fb89a")
    c.line([[x + w / 2, y], [x + w / 2, y + h]], "#f2f2ee", 3)
    c.line([[x, y + h * 0.4], [x + w, y + h * 0.4]], "#f2f2ee", 3)
    c.glaze([[x + w * 0.1, y + h], [x + w * 0.4, y], [x + w * 0.55, y], [x + w * 0.25, y + h]], "#ffffff", 0.3)


def cross(x, y, reach):
    """Return the two bars of an upright cross."""
    arm = reach / 3
    return [box(x - reach, y - arm, x + reach, y + arm), box(x - arm, y - reach, x + arm, y + reach)]


def ward(c, rng, floor):
    wall = pick(rng, (("#dfeaea", "#cfe0df"), ("#e8e4d8", "#dcd5c2"), ("#d8e2ee", "#c4d2e2"), ("#e6dfe8", "#d3c8d8")))
    wall_and_floor(c, floor, wall, ("#b9b4a8", "#98948a"))
    dado = pick(rng, (("#a9c6c4", "#98b8b6"), ("#c9bfa6", "#b8ad92"), ("#9fb3cc", "#8fa4be")))
    c.gradient(0, floor * 0.72, c.width, floor, *dado)
    c.fill(box(0, floor * 0.7, c.width, floor * 0.735), "#f4f2ec")
    c.fill(box(0, floor - 5, c.width, floor), "#8a8f92")
    w, h = c.width * rng.uniform(0.2, 0.32), floor * 0.42
    x = rng.uniform(0.03, 0.6) * c.width
    window_view(c, x, floor * 0.12, w, h, rng)
    for side in (x - 12, x + w - 10):
        curtain = pick(rng, ("#d9c9a8", "#a8c4d9", "#c9d8b8"))
        c.fill(box(side, floor * 0.07, side + 24, floor * 0.66, 3), curtain, outline=0.7, shade=3)
        for fold in (6, 12, 18):
            c.line([[side + fold, floor * 0.09], [side + fold, floor * 0.65]], curtain, 0.8, light=-0.15)
    bx, top = rng.uniform(-0.1, 0.6) * c.width, floor * 0.8
    length = c.width * 0.55
    c.fill(box(bx, top - 34, bx + 9, floor + 22, 3), "#8d979e", outline=0.8)
    c.fill(box(bx + length, top - 10, bx + length + 8, floor + 22, 3), "#8d979e", outline=0.8)
    c.fill(box(bx + 4, top + 8, bx + length, top + 30, 6), "#f4f4f2", outline=0.8, shade=4)
    c.fill(box(bx + 6, top - 10, bx + 62, top + 10, 9), "#ffffff", outline=0.8, shade=4)
    blanket = pick(rng, ("#7fb0c8", "#a8b8a0", "#c8a8a8"))
    c.fill(box(bx + 66, top, bx + length - 2, top + 36, 8), blanket, outline=0.8, shade=6)
    monitor(c, c.width * rng.uniform(0.05, 0.8), floor * 0.3, 62, rng)
    drip(c, c.width * rng.uniform(0.05, 0.95), floor + 30, floor * 0.95)


def corridor(c, rng, floor):
    w, h = c.width, c.height
    mx, my = w * rng.uniform(0.35, 0.65), floor * 0.52
    x1, x2, y1, y2 = mx - w * 0.13, mx + w * 0.13, my - floor * 0.22, my + floor * 0.2
    wall = pick(rng, ("#dfe7e6", "#e9e3d6", "#d9e0ec"))
    down = y2 + (h - y2) * 0.75
    c.fill(box(0, 0, w, h), "#f1f1ee")
    c.fill([[0, 0], [x1, y1], [x1, y2], [0, down]], wall, light=-0.05)
    c.fill([[w, 0], [x2, y1], [x2, y2], [w, down]], wall, light=-0.12)
    c.fill([[0, down], [x1, y2], [x2, y2], [w, down], [w, h], [0, h]], pick(rng, ("#a8b2b4", "#b5aa98", "#9fb0a8")))
    c.fill(box(x1, y1, x2, y2), wall, light=0.25)
    c.fill(box(mx - 17, y2 - floor * 0.26, mx + 17, y2), "#9fb8c4", outline=0.8)
    c.fill(box(mx - 11, y2 - floor * 0.22, mx + 11, y2 - floor * 0.12), "#e8f4fa")
    for near, far in ((0.0, 0.2), (0.4, 0.55), (0.72, 0.82)):
        corners = [(side * w * 0.1, t) for side, t in ((-1, near), (1, near), (1, far), (-1, far))]
        c.fill([[w / 2 + dx * (1 - t) + (mx - w / 2) * t, y1 * t + 2] for dx, t in corners], "#ffffff")
    for ex, sx in ((0, x1), (w, x2)):
        for near, far in ((0.18, 0.4), (0.6, 0.76)):
            xs = [ex + (sx - ex) * t for t in (near, far)]
            base = [down + (y2 - down) * t for t in (near, far)]
            top = [(y1 + 40) * t + 55 * (1 - t) for t in (near, far)]
            door = [[xs[0], base[0]], [xs[0], top[0]], [xs[1], top[1]], [xs[1], base[1]]]
            c.fill(door, pick(rng, ("#a9825a", "#7f9fb0", "#8fb09a")), outline=1, shade=3)
        c.line([[ex, down * 0.62], [sx, y1 + (y2 - y1) * 0.62]], "#8a6a4a", 4)
    c.glaze([[mx - 15, y2], [mx + 15, y2], [mx + 60, h], [mx - 60, h]], "#ffffff", 0.22, blur=6)


def laboratory(c, rng, floor):
    wall = pick(rng, (("#e4ebef", "#d3dde3"), ("#e9ece4", "#d8ddd0"), ("#dfe3ea", "#c9d0dc")))
    wall_and_floor(c, floor, wall, ("#aab0b4", "#8d9498"))
    for row in (0.2, 0.42):
        y = floor * row
        c.fill(box(c.width * 0.03, y, c.width * 0.97, y + 6), "#b9a58a", outline=0.7)
        x = c.width * 0.05
        while x < c.width * 0.93:
            w, tall = rng.uniform(9, 22), rng.uniform(16, min(34, floor * 0.18))
            color = pick(rng, ("#a8663a", "#5a9ab0", "#d8e6ea", "#7aa86a", "#c8a04a", "#f2f2f0", "#b85a5a", "#6a6f88"))
            c.fill(box(x, y - tall, x + w, y, 2), color, outline=0.6, shade=2.5)
            if rng.random() < 0.6:
                c.fill(box(x + w * 0.25, y - tall - 5, x + w * 0.75, y - tall, 1), "#f4f4f4", outline=0.5)
                c.fill(box(x + 1, y - tall * 0.6, x + w - 1, y - tall * 0.25), "#fafaf6", None)
            x += w + rng.uniform(2, 16)
    top = floor * 0.74
    c.fill(box(0, top, c.width, floor + 8), "#dfe3e6", outline=0.8)
    c.fill(box(0, top - 6, c.width, top + 4), "#4a545c", outline=0.6)
    for x in np.arange(rng.uniform(-30, 0), c.width, 74):
        c.fill(box(x + 3, top + 9, x + 70, floor + 2, 2), "#eef1f3", outline=0.7)
        c.line([[x + 28, top + 17], [x + 45, top + 17]], "#7f8a92", 2.2)
    x, color = c.width * rng.uniform(0.1, 0.85), "#e9ecef"
    c.fill(box(x - 20, top - 11, x + 20, top - 6, 2), "#39424a", outline=0.7)
    c.fill(capsule((x + 10, top - 12), (x + 4, top - 46), 5, 6), color, outline=0.7, shade=2)
    c.fill(capsule((x + 8, top - 56), (x - 12, top - 32), 5, 4), "#56616a", outline=0.7, shade=2)
    x = c.width * rng.uniform(0.1, 0.85)
    left, right = x - 16, x + 16
    flask = [[x - 4, top - 40], [x + 4, top - 40], [x + 5, top - 26]]
    flask += [[right, top - 7], [left, top - 7], [x - 5, top - 26]]
    c.glaze(flask, "#e8f6fb", 0.7)
    liquid = [[x - 10, top - 18], [x + 10, top - 18], [right, top - 7], [left, top - 7]]
    c.fill(liquid, pick(rng, ("#e0698a", "#63b8d8", "#e8c44a")), None)
    c.line(flask, "#7f98a4", 1, closed=True)


def reception(c, rng, floor):
    color = pick(rng, ("#5fa8a0", "#6f94c0", "#c98f6a", "#8a86b8"))
    wall_and_floor(c, floor, ("#f1efe9", "#e2ded3"), ("#c3b8a6", "#a2978a"))
    x, y, s = c.width * rng.uniform(0.25, 0.75), floor * 0.26, floor * 0.06
    c.fill(box(x - 3 * s, y - 2.4 * s, x + 3 * s, y + 2.4 * s, s), color, outline=0.8)
    c.fill(cross(x, y, s * 1.7), "#ffffff")
    for px in (0.1, 0.86):
        c.fill(box(c.width * px - 24, floor * 0.2, c.width * px + 24, floor * 0.5), "#fbfaf5", outline=1.2)
        c.fill(ellipse(c.width * px, floor * 0.32, 11), pick(rng, CLOTH))
        for k in (0.41, 0.44):
            c.line([[c.width * px - 15, floor * k], [c.width * px + 15, floor * k]], "#9aa0a4", 1.5)
    for k in range(4):
        cx = c.width * (0.02 + 0.27 * k)
        c.fill(box(cx, floor * 0.66, cx + 52, floor * 0.86, 7), color, light=-0.15, outline=0.8, shade=5)
        c.fill(box(cx - 3, floor * 0.84, cx + 55, floor * 0.92, 5), color, light=-0.05, outline=0.8)
        for leg in (4, 48):
            c.line([[cx + leg, floor * 0.92], [cx + leg, floor + 12]], "#5a5f64", 2.5)
    c.fill(box(0, floor - 4, c.width, floor), "#b9b09e")
    plant(c, c.width * pick(rng, (0.06, 0.94)), floor + 20, floor * 0.45, rng)


def outdoors(c, rng, floor):
    sky = pick(rng, (("#6fb0e0", "#d8ecf6"), ("#8f9fb4", "#e4e2dc"), ("#e8b088", "#f6e2c8")))
    c.gradient(0, 0, c.width, floor, *sky)
    for _ in range(4):
        x, y = rng.uniform(0, c.width), rng.uniform(0.05, 0.35) * floor
        cloud = [ellipse(x + dx, y + dy, r * 1.3, r) for dx, dy, r in ((-19, 3, 7), (-3, -2, 11), (15, 2, 8))]
        c.fill(cloud, "#fbfdfe", shade=2)
    for k in range(7):
        x, top = c.width * (k / 6) + rng.uniform(-20, 20), floor * rng.uniform(0.3, 0.6)
        c.fill(box(x - 34, top, x + 34, floor), pick(rng, ("#b4bcc6", "#c4b8a8", "#a4b0a8")))
        for row in np.arange(top + 8, floor - 12, 17):
            for dx in (-22, -6, 10):
                c.fill(box(x + dx, row, x + dx + 9, row + 9), "#dfeaf0")
    c.gradient(0, floor, c.width, c.height, "#8b9094", "#6d7276")
    c.fill(box(0, floor, c.width, floor + 7), "#7fa86a")
    x, w, h = c.width * rng.uniform(-0.1, 0.5), c.width * 0.6, floor * 0.46
    y = floor + 16
    van = [[x, y], [x, y - h], [x + w * 0.68, y - h], [x + w * 0.84, y - h * 0.55], [x + w, y - h * 0.45], [x + w, y]]
    c.fill(smooth(van, 1), "#f6f7f7", outline=1, shade=7)
    c.fill(box(x + 2, y - h * 0.5, x + w * 0.72, y - h * 0.36), "#d8433c", None)
    glass = np.array([[0.56, 0.88], [0.67, 0.88], [0.8, 0.55], [0.56, 0.55]]) * [w, -h] + [x, y]
    c.fill(smooth(glass, 1), "#9cc4d8", outline=0.8)
    c.fill(cross(x + w * 0.25, y - h * 0.7, h * 0.18), "#d8433c", None)
    c.fill(box(x + w * 0.5, y - h - 8, x + w * 0.6, y - h, 3), "#3d7fe0", outline=0.7)
    for wheel in (0.2, 0.8):
        c.fill(ellipse(x + w * wheel, y, h * 0.17), "#2a2d30")
        c.fill(ellipse(x + w * wheel, y, h * 0.08), "#aab0b4")


ROOMS = (ward, corridor, laboratory, reception, outdoors)


def monitor(c, x, y, size, rng):
    c.fill(box(x, y, x + size, y + size * 0.7, 5), "#3a424a", outline=0.8)
    c.fill(box(x + 5, y + 5, x + size - 5, y + size * 0.7 - 7, 2), "#10202a", None)
    for row, color in ((0.2, "#5fe08a"), (0.38, "#e0d05a"), (0.52, "#5ab8e8")):
        beat = [0, 0, -0.08, 0.05, 0, 0, 0, -0.08, 0.05, 0, 0]
        trace = [[x + 8 + k * (size - 28) / 10, y + size * (row + rise)] for k, rise in enumerate(beat)]
        c.line(trace, color, 1)
        c.line([[x + size - 16, y + size * row], [x + size - 9, y + size * row]], color, 2)


def drip(c, x, base, height):
    c.line([[x, base], [x, base - height]], "#a3adb4", 2.6, item=0)
    c.line([[x - 11, base - height + 4], [x, base - height], [x + 11, base - height + 4]], "#a3adb4", 2, item=0)
    c.line([[x - 18, base + 4], [x, base - 6], [x + 18, base + 4]], "#7f8a92", 3, item=0)
    bag = smooth(box(x - 19, base - height + 6, x - 3, base - height + 38), 2)
    c.fill(bag, "#e4f0f4", outline=0.7, shade=2)
    c.fill(box(x - 17, base - height + 20, x - 5, base - height + 35, 2), "#b9d8e4", None)


def plant(c, x, base, height, rng):
    for angle in np.linspace(-60, 60, 9) + rng.normal(0, 6, 9):
        tip = np.array([np.sin(np.radians(angle)), -np.cos(np.radians(angle))]) * height * rng.uniform(0.6, 0.85)
        root = np.array([x, base - height * 0.25])
        side = np.array([-tip[1], tip[0]]) * 0.1
        leaf = smooth([root, root + tip * 0.5 + side, root + tip, root + tip * 0.5 - side], 2)
        c.fill(leaf, pick(rng, ("#4f9a58", "#3f8548", "#6fb060")), outline=0.6, shade=2)
    w = height * 0.17
    pot = [[x - w, base - height * 0.3], [x + w, base - height * 0.3], [x + w * 0.75, base], [x - w * 0.75, base]]
    c.fill(pot, pick(rng, ("#c8744a", "#e8e4dc", "#5a6a7a")), outline=0.8, shade=4)


def clutter(c, rng):
    """Draw something in front of the people, low or at a side, so that it hides a part of them now and then."""
    kind, w, h = pick(rng, ("desk", "plant", "drip", "rail", "trolley")), c.width, c.height
    x = w * rng.uniform(0.08, 0.92)
    if kind == "desk":
        top = h * rng.uniform(0.82, 0.9)
        c.fill(box(-5, top, w + 5, h + 5), pick(rng, ("#b08a60", "#d8dde0", "#8a7a6a")), outline=1, shade=4)
        monitor(c, min(x, w - 70), top - 46, 64, rng)
        c.fill(box(w - x, top - 20, w - x + 15, top + 3, 3), pick(rng, CLOTH), outline=0.7, shade=3)
    elif kind == "plant":
        plant(c, x, h + 15, h * 0.45, rng)
    elif kind == "drip":
        drip(c, x, h + 5, h * rng.uniform(0.7, 0.95))
    elif kind == "rail":
        top = h * rng.uniform(0.8, 0.88)
        for y in (top, top + 18):
            c.fill(capsule((x - 110, y), (x + 110, y), 4, 4), "#b4bec6", outline=0.7, shade=2)
        for k in range(-2, 3):
            c.fill(box(x + k * 50 - 3, top, x + k * 50 + 3, h + 5), "#b4bec6", outline=0.7)
        c.fill(box(x - 120, top + 32, x + 120, h + 5, 8), "#e8eef0", outline=0.8, shade=6)
    else:
        top = h * rng.uniform(0.8, 0.88)
        c.fill(box(x - 62, top, x + 62, top + 7, 2), "#c4ccd2", outline=0.8)
        c.fill(box(x - 56, top + 7, x + 56, h + 5), "#dfe5e9", outline=0.8, shade=5)
        for dx in (-50, -18, 20):
            c.fill(box(x + dx, top - rng.uniform(12, 24), x + dx + 26, top, 2), pick(rng, BOXES), outline=0.7, shade=3)
