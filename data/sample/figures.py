"""Drawing of medical staff, with and without protective equipment.

A figure's lengths are in heads: the head is one unit high, the whole figure about five.
"""

from dataclasses import dataclass

import numpy as np

from sample.canvas import Pen, box, capsule, ellipse, mirrored, smooth
from sample.heads import Head

THIGH, SHIN = 0.95, 0.9


@dataclass(frozen=True)
class Look:
    """The clothes of a person; an item that is None is not worn, otherwise the text is its colour."""

    skin: str = "#e8b896"
    hair: str = "#3b2a20"
    hair_style: str = "short"  # short, bun, bob, bald, cap
    clothes: str = "scrubs"  # coverall, scrubs, coat, shirt
    color: str = "#2f8f8a"
    trim: str = "#3f6fb5"
    trousers: str = "#37415a"
    build: float = 1.0
    mask: str | None = None
    cup: bool = False  # a cup-shaped respirator instead of a pleated mask
    goggles: str | None = None
    shield: str | None = None
    gloves: str | None = None
    spectacles: str | None = None
    scarf: str | None = None
    stethoscope: bool = False
    prop: str | None = None  # clipboard, tube or tablet in the right hand


@dataclass(frozen=True)
class Pose:
    """Angles in degrees from straight down, outwards positive; the person's image-left side comes first."""

    arms: tuple = ((10, 4), (10, 4))  # upper arm, forearm
    hands: tuple = ("relaxed", "relaxed")  # relaxed, spread, grip
    legs: tuple = ((3, 1), (3, 1))  # thigh, shin
    hips: float = 1.0  # the hips' distance, less than 1 when seen from the side
    turn: float = 0.0  # the face's turn, -1 to 1
    lean: float = 0.0
    tilt: float = 0.0
    blink: bool = False
    rear_arm: int | None = None  # the arm that is drawn behind the body, if any

    @property
    def height(self):
        """Return the height from the base of the neck down to the lower sole."""
        return 1.62 + 0.23 + max(THIGH * np.cos(np.radians(a)) + SHIN * np.cos(np.radians(b)) for a, b in self.legs)


class Figure:
    """One person on a canvas: `(x, y)` is the base of the neck, `unit` the head's height, both in pixels."""

    def __init__(self, canvas, x, y, unit, look, pose):
        self.canvas, self.look, self.pose = canvas, look, pose
        self.pen = Pen(canvas, np.array([x, y], float), unit, pose.lean)
        self.suit = canvas.new_item("Coverall") if look.clothes == "coverall" else 0  # the coverall's id

    def draw(self):
        look, pose = self.look, self.pose
        if pose.rear_arm is not None:
            self._arm(pose.rear_arm)
        for side in (0, 1):
            self._leg(side)
        neck = smooth(mirrored([[0.15, -0.35], [0.16, -0.05], [0.26, 0.1], [0.1, 0.3]]))
        self.pen.fill(neck, look.skin, light=-0.12)
        self._torso()
        Head(self.canvas, self.pen.moved([0.02 * pose.turn, -0.6], pose.tilt), look, pose, self.suit).draw()
        for side in (0, 1):
            if side != pose.rear_arm:
                self._arm(side)
        if self.suit:
            self.canvas.settle(self.suit)

    def _leg(self, side):
        look, sign = self.look, (-1, 1)[side]
        thigh, shin = self.pose.legs[side]
        hip = np.array([0.25 * sign * look.build * self.pose.hips, 1.62])
        knee = hip + THIGH * np.array([sign * np.sin(np.radians(thigh)), np.cos(np.radians(thigh))])
        ankle = knee + SHIN * np.array([sign * np.sin(np.radians(shin)), np.cos(np.radians(shin))])
        toe = ankle + [0.13 * sign if abs(self.pose.turn) < 0.6 else 0.2 * np.sign(self.pose.turn), 0.12]
        shoe = capsule(ankle + [0, 0.1], toe, 0.13, 0.11)
        if self.suit:
            self.pen.fill(shoe, look.color, self.suit, light=-0.1, shade=0.05)
        else:
            self.pen.fill(shoe, "#f2f2f0" if look.clothes != "shirt" else "#4a4440", shade=0.05)
        color = look.color if look.clothes in ("coverall", "scrubs") else look.trousers
        top, middle, end = (0.29, 0.23, 0.18) if self.suit else (0.27, 0.2, 0.15)
        parts = [capsule(hip, knee, top, middle), capsule(knee, ankle, middle, end)]
        self.pen.fill(parts, color, self.suit, light=-0.06, shade=0.12)
        for drop in (-0.1, 0.0) if self.suit else (0.0,):
            fold = knee + np.array([[-0.17 * sign, drop], [-0.02 * sign, drop + 0.06], [0.1 * sign, drop + 0.05]])
            self.pen.detail(fold, color, 0.016, -0.22)

    def _torso(self):
        look, width, shift = self.look, self.look.build, 0.07 * self.pose.turn
        baggy = 0.05 if look.clothes in ("coverall", "coat") else 0.0
        hem = 2.25 if look.clothes == "coat" else 1.75
        loose = [[0.6, 0.55], [0.5, 1.05], [0.53, 1.4], [0.55, hem]]
        half = [[0.16, -0.02], [0.42, 0.07], [0.62, 0.2], *np.add(loose, [baggy, 0]), [0.25, hem + 0.06]]
        outline = mirrored(np.array(half) * [width, 1])
        self.pen.fill(smooth(outline), look.color, self.suit, shade=0.2)
        if self.suit:
            self._suit_details(shift, width)
            return
        vee = [[-0.17, -0.03], [0.17, -0.03], [0.2 + shift, 0.06], [shift, 0.42], [-0.2 + shift, 0.06]]
        if look.clothes == "shirt":
            self.pen.fill(ellipse(shift / 2, -0.02, 0.2, 0.14), look.skin, light=-0.1)
            self.pen.detail(ellipse(shift / 2, -0.01, 0.21, 0.15, 0, 180), look.trim, 0.04)
        elif look.clothes == "scrubs":
            self.pen.fill(vee, look.skin, light=-0.06, edge=0.6)
            self.pen.detail([[-0.2, 0.02], [shift, 0.43], [0.2, 0.02]], look.color, 0.05, -0.2)
            self.pen.detail(box(0.16, 0.62, 0.42, 0.9, 0.04), look.color, 0.016, -0.3)
        else:
            shirt = [[-0.2, -0.02], [0.2, -0.02], [0.13 + shift, 0.85], [-0.13 + shift, 0.85]]
            self.pen.fill(shirt, look.trim, edge=0.7)
            self.pen.fill(vee, look.skin, light=-0.06, edge=0.5)
            for sign in (-1, 1):
                lapel = [[0.17 * sign, -0.06], [0.36 * sign, 0.1], [0.3 * sign, 0.36], [0.08 * sign + shift, 0.86]]
                self.pen.fill(lapel, look.color, light=-0.04, edge=0.8)
            self.pen.detail([[shift, 0.86], [shift, hem]], look.color, 0.02, -0.3)
            for drop in (1.05, 1.35, 1.65):
                self.pen.patch(ellipse(0.06 + shift, drop, 0.025), look.color, -0.35)
        if look.scarf:
            wrap = smooth([[-0.3, -0.12], [0.3, -0.12], [0.36, 0.12], [0, 0.24], [-0.36, 0.12]])
            self.pen.fill(wrap, look.scarf, shade=0.08)
            self.pen.fill(smooth([[0.04, 0.1], [0.26, 0.08], [0.3, 0.75], [0.08, 0.78]], 2), look.scarf, shade=0.06)
        if look.stethoscope:
            tube = [[0.19, -0.06], *ellipse(shift, 0.14, 0.25, 0.56, 0, 180), [-0.19, -0.06]]
            self.pen.detail(tube, "#2e3440", 0.045)
            self.pen.fill(ellipse(shift, 0.74, 0.07), "#b9c2cc", None)

    def _suit_details(self, shift, width):
        color = self.look.color
        flap = [[shift, 0.06], [shift * 1.4, 0.6], [shift * 1.4, 1.2], [shift, 1.78]]
        self.pen.detail(flap, self.look.trim, 0.05)
        self.pen.detail(np.add(flap, [0.055, 0]), color, 0.014, -0.3)
        for sign in (-1, 1):
            for start, stop in (([0.5, 1.12], [0.22, 1.17]), ([0.53, 1.22], [0.3, 1.25]), ([0.3, 0.32], [0.18, 0.5])):
                middle = (np.add(start, stop) / 2 + [0, 0.05]).tolist()
                fold = np.array([start, middle, stop]) * [sign * width, 1]
                self.pen.detail(fold, color, 0.016, -0.2)
            self.pen.detail(np.array([[0.08, 1.78], [0.3, 1.66]]) * [sign, 1], color, 0.016, -0.25)

    def _arm(self, side):
        look, sign = self.look, (-1, 1)[side]
        upper, fore = self.pose.arms[side]
        shoulder = np.array([0.5 * sign * look.build, 0.3])
        elbow = shoulder + 0.78 * np.array([sign * np.sin(np.radians(upper)), np.cos(np.radians(upper))])
        along = np.array([sign * np.sin(np.radians(fore)), np.cos(np.radians(fore))])
        wrist = elbow + 0.68 * along
        short = look.clothes in ("scrubs", "shirt")
        sleeves = {"coverall": (0.22, 0.19, 0.145), "coat": (0.2, 0.17, 0.14)}
        top, middle, end = sleeves.get(look.clothes, (0.16, 0.13, 0.1))
        parts = [capsule(shoulder, elbow, top, middle), capsule(elbow, wrist, middle, end)]
        self.pen.fill(parts, look.skin if short else look.color, self.suit, shade=0.09)
        if short:
            self.pen.fill(capsule(shoulder, 0.45 * shoulder + 0.55 * elbow, 0.22, 0.21), look.color, shade=0.1)
        else:
            across = np.array([-along[1], along[0]])
            for offset in (-0.12, 0.02):
                fold = elbow + along * offset + np.outer([-0.13, 0, 0.1], across) + [[0, 0], [0, 0.03], [0, 0.01]]
                self.pen.detail(fold, look.color, 0.016, -0.22)
        self._hand(side, wrist, along)

    def _hand(self, side, wrist, along):
        look, grip = self.look, self.pose.hands[side]
        # The thumb points to the body's middle when the arm hangs, and upwards when the forearm is level.
        thumb = np.array([-along[1], along[0]])
        if thumb[0] * (-1, 1)[side] > 0 and abs(along[1]) > 0.4 or thumb[1] > 0 and abs(along[1]) <= 0.4:
            thumb = -thumb

        def limb(start, stop, radius_a, radius_b):
            ends = [wrist + along * p + thumb * q for p, q in (start, stop)]
            return capsule(*ends, radius_a, radius_b)

        if side == 1 and look.prop:
            self._prop(wrist + 0.2 * along)
        spread = {"relaxed": 0.35, "spread": 1.0, "grip": 0.0}[grip]
        reach = 0.24 if grip == "grip" else 0.43
        fingers = [
            limb((0.18, q), (reach - 0.03 * abs(k - 1.4), q * (1 + spread * 0.9)), 0.05, 0.043)
            for k, q in enumerate((0.095, 0.033, -0.033, -0.095))
        ]
        digit = limb((0.08, 0.07), (0.22, 0.17 + 0.07 * spread), 0.06, 0.048)
        parts = [digit, *fingers, limb((0.06, 0), (0.2, 0), 0.115, 0.125)]
        item = 0
        if look.gloves:
            item = self.canvas.new_item("Gloves")
            parts.append(limb((-0.2, 0), (0.06, 0), 0.15 if look.clothes in ("coverall", "coat") else 0.125, 0.11))
        color = look.gloves or look.skin
        self.pen.fill(parts, color, item, shade=0.05)
        for q in (0.064, 0, -0.064):
            gap = [wrist + along * p + thumb * q * (1 + spread * (p - 0.18) * 3) for p in (0.2, reach - 0.06)]
            self.pen.detail(gap, color, 0.014, -0.3)
        if item:
            cuff = [wrist - along * 0.16 + thumb * q for q in (-0.13, 0.13)]
            self.pen.detail(cuff, color, 0.03, -0.2)
            self.canvas.settle(item)

    def _prop(self, place):
        x, y = place
        if self.look.prop == "tube":
            self.pen.fill(box(x - 0.04, y - 0.5, x + 0.04, y + 0.1, 0.03), "#dfeef5")
            self.pen.patch(box(x - 0.03, y - 0.25, x + 0.03, y + 0.09, 0.025), "#b8323c")
            self.pen.patch(box(x - 0.055, y - 0.53, x + 0.055, y - 0.42, 0.02), "#7a4fa0")
            return
        board = box(x - 0.62, y - 0.62, x + 0.04, y + 0.26, 0.05)
        sheet = box(x - 0.55, y - 0.52, x - 0.03, y + 0.19)
        dark = self.look.prop == "tablet"
        self.pen.fill(board, "#30343c" if dark else "#a9744a", shade=0.04)
        self.pen.patch(sheet, "#8fd0ea" if dark else "#fbfbf7")
        for k, length in enumerate((0.4, 0.33, 0.38, 0.22)):
            row = y - 0.4 + 0.13 * k
            self.pen.detail([[x - 0.49, row], [x - 0.49 + length, row]], "#3d566e", 0.025)
        if not dark:
            self.pen.fill(box(x - 0.39, y - 0.68, x - 0.19, y - 0.55, 0.03), "#9aa3ad")
