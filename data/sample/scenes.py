"""People, poses and light of an image, drawn at random from a NumPy `Generator`."""

import cv2
import numpy as np

from sample.canvas import SCALE, Canvas, ellipse
from sample.figures import Figure, Look, Pose
from sample.rooms import CLOTH, ROOMS, clutter, pick

SKIN = ("#f3cfb3", "#e8b896", "#d9a07a", "#b97b52", "#8a5a3c", "#5f3d2a")
HAIR = ("#1d1815", "#3b2a20", "#5a3a24", "#8a5a30", "#c9a25e", "#8e8e90", "#7a3322")
SUIT = ("#f4f6f7", "#f4f6f7", "#f4f6f7", "#dfeaf4", "#f2d858", "#b8d8ee", "#e8efe0")
SCRUBS = ("#2f8f8a", "#3b6fa8", "#3f8f5f", "#7fb8b0", "#7a3f58", "#4a5a8a", "#6a6f78")
GLOVES = ("#3d6fc4", "#3d6fc4", "#5a8fd8", "#7a4fb0", "#3aa06a", "#f0ece2", "#2a2c30", "#e58a3a")
MASKS = ("#8fc3de", "#8fc3de", "#f5f5f2", "#b8dcc8", "#a8d3e6", "#f0c8d0", "#3a3f48")
GOGGLES = ("#e8eef0", "#cfd8dc", "#2f6fb0", "#3a4048", "#3aa08a", "#e0803a")
BANDS = ("#f5f5f5", "#3a4048", "#3d6fc4", "#5fb0a8", "#d8d8d8")
TRIM = ("#3f6fb5", "#e07a2a", "#c8ccd0", "#3a9a8a", "#c84a4a")
ARMS = (
    ((10, 4), "relaxed"), ((16, -6), "relaxed"), ((10, 4), "relaxed"), ((38, -42), "relaxed"), ((100, 162), "spread"),
    ((14, 158), "spread"), ((20, 172), "relaxed"), ((14, -62), "grip"), ((72, 84), "relaxed"), ((48, 130), "grip"),
    ((60, 30), "spread"), ((24, 60), "relaxed"),
)  # fmt: skip


def random_look(rng, gear=True):
    """Draw lots for a person; with `gear` false one that wears nothing of the five classes."""

    def worn(chance, colors):
        return pick(rng, colors) if rng.random() < chance and gear else None

    wardrobe = ["shirt", "scrubs", "scrubs", "coat"] + (["coverall"] * 5 if gear else ["shirt"])
    clothes = pick(rng, wardrobe)
    often = clothes == "coverall"
    color = pick(rng, {"coverall": SUIT, "scrubs": SCRUBS, "coat": ("#f4f6f7",), "shirt": CLOTH}[clothes])
    goggles = worn(0.6 if often else 0.42, GOGGLES)
    return Look(
        skin=pick(rng, SKIN),
        hair=pick(rng, HAIR),
        hair_style=pick(rng, ("short", "short", "bun", "bob", "bald", "cap")),
        clothes=clothes,
        color=color,
        trim=pick(rng, TRIM if often else SCRUBS),
        trousers=pick(rng, ("#37415a", "#5a5048", "#2f3338", "#6a7a8a")),
        build=rng.uniform(0.9, 1.12),
        mask=worn(0.8 if often else 0.6, MASKS),
        cup=rng.random() < 0.3,
        goggles=goggles,
        shield=worn(0.28 if goggles else 0.65, BANDS),
        gloves=worn(0.8 if often else 0.5, GLOVES),
        spectacles=pick(rng, ("#222222", "#7a4a24", "#3a5a8a")) if rng.random() < 0.2 else None,
        scarf=pick(rng, CLOTH) if rng.random() < 0.25 and clothes == "shirt" else None,
        stethoscope=rng.random() < 0.35 and clothes in ("scrubs", "coat"),
        prop=pick(rng, ("clipboard", "tube", "tablet")) if rng.random() < 0.25 else None,
    )


def random_pose(rng, look):
    arms, hands = zip(*(pick(rng, ARMS) for _ in range(2)), strict=True)
    arms = [tuple(angle + rng.normal(0, 5) for angle in arm) for arm in arms]
    if look.prop:
        arms[1] = (14, 150) if look.prop == "tube" else (12, -72)
        hands = (hands[0], "grip")
    stride = rng.normal(0, 1, 2) * (9 if rng.random() < 0.4 else 2)
    legs = tuple((4 + abs(s), 2 + s * 0.5) for s in stride)
    turn, lean, tilt = rng.uniform(-0.9, 0.9), rng.normal(0, 2.5), rng.normal(0, 5)
    return Pose(tuple(arms), hands, legs, turn=turn, lean=lean, tilt=tilt, blink=rng.random() < 0.06)


def room_image(width, height, rng, floor, room=None):
    """Draw a supersampled BGR background, out of focus now and then as behind people who are in focus."""
    canvas = Canvas(width, height)
    (room or pick(rng, ROOMS))(canvas, rng, floor)
    size = 1 + SCALE * int(rng.integers(0, 3))
    return cv2.blur(canvas.image, (size, size))


def put_person(canvas, x, ground, unit, look, pose, neck=None):
    """Draw one person with the lower foot at `ground`, or with the neck's base at `neck`, over a soft shadow."""
    neck = ground - pose.height * unit if neck is None else neck
    feet = np.array([x - np.sin(np.radians(pose.lean)) * pose.height * unit, neck + (pose.height - 0.03) * unit])
    canvas.glaze(ellipse(*feet, 0.75 * unit, 0.12 * unit), "#20242a", 0.4, blur=0.06 * unit)
    Figure(canvas, x, neck, unit, look, pose).draw()


def scene(width, height, rng, empty=False):
    """Draw a random image on a canvas; with `empty` nobody wears anything of the five classes."""
    count = int(rng.choice([0, 1, 2])) if empty else int(rng.choice([1, 2, 3], p=[0.3, 0.42, 0.28]))
    heads = rng.choice([5.4, 4.0, 3.1, 2.5], p=[0.3, 0.3, 0.3, 0.1])
    unit = min(height / heads, width / (1.55 * max(count, 1)), 130)
    unit = max(unit, 56.0 if height / 5.2 >= 56 else height / 5.2)
    feet = height * rng.uniform(0.92, 0.98)
    top = feet - 3.75 * unit if feet - 5.0 * unit > -2 else height * rng.uniform(0.06, 0.14) + 1.15 * unit
    floor = float(np.clip(top + 3.1 * unit, height * 0.6, height * 0.88))
    canvas = Canvas(width, height, room_image(width, height, rng, floor))
    places = (np.arange(count) + 0.5) / max(count, 1) * width + rng.uniform(-0.12, 0.12, count) * width
    sizes = unit * rng.uniform(0.86, 1.08, count)
    for place, size in sorted(zip(places, sizes, strict=True), key=lambda person: person[1]):
        look = random_look(rng, gear=not empty)
        ground = top + 3.75 * unit + (size - unit) * 0.5
        neck = None if ground < height else top + (size - unit) * 0.3
        put_person(canvas, place, ground, size, look, random_pose(rng, look), neck)
    if rng.random() < 0.35:
        clutter(canvas, rng)
    return canvas


def photographed(image, rng):
    """Return the image under uneven light, with a little blur and sensor noise: BGR uint8 of the same shape."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.22)
    light = rng.uniform(0.8, 1.12) * (1 + slope * (np.cos(angle) * x + np.sin(angle) * y))
    light *= 1 - rng.uniform(0, 0.14) * (x * x + y * y)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.4, 1.1))
    grain = rng.standard_normal((height, width), np.float32) * rng.uniform(0.5, 5)
    warmth = rng.uniform(-0.06, 0.06)
    tint = np.array([1 - warmth, 1, 1 + warmth], np.float32)
    return np.clip(image * (light[..., None] * tint) + grain[..., None], 0, 255).astype(np.uint8)
