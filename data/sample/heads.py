"""Drawing of a head and of what is worn on it."""

import numpy as np

from sample.canvas import box, ellipse, mirrored, smooth


class Head:
    """The head of one person; `pen` has its origin at the head's centre, `suit` is the coverall's id or 0."""

    def __init__(self, canvas, pen, look, pose, suit):
        self.canvas, self.pen, self.look, self.pose, self.suit = canvas, pen, look, pose, suit

    def draw(self):
        look, shift = self.look, 0.1 * self.pose.turn
        if self.suit:
            hood = [[0.25, -0.62], [0.47, -0.42], [0.5, -0.05], [0.45, 0.35], [0.34, 0.62], [0.42, 0.75], [0.1, 0.82]]
            self.pen.fill(smooth(mirrored(hood)), look.color, self.suit, shade=0.12)
        elif look.hair_style == "bob":
            bob = mirrored([[0.2, -0.56], [0.45, -0.4], [0.52, 0.1], [0.46, 0.5], [0.2, 0.5]])
            self.pen.fill(smooth(bob), look.hair, shade=0.08)
        elif look.hair_style == "bun":
            self.pen.fill(ellipse(-0.1 * self.pose.turn, -0.58, 0.17), look.hair, shade=0.06)
        if not self.suit:
            for sign in (-1, 1):
                ear = ellipse(sign * 0.4 + 0.03 * self.pose.turn, 0.02, 0.07, 0.11)
                self.pen.fill(ear, look.skin, light=-0.05)
        jaw = mirrored([[0.18, -0.5], [0.37, -0.38], [0.4, -0.05], [0.37, 0.24], [0.22, 0.47], [0.08, 0.5]])
        opening = np.array([0.9, 0.86]) if self.suit else np.array([1.0, 1.0])
        face = smooth(jaw) * opening + [shift * 0.4 if self.suit else 0, 0]
        self.pen.fill(face, look.skin, shade=0.1)
        if self.suit:
            self.pen.detail(smooth(jaw) * opening * 1.07 + [shift * 0.4, 0], look.color, 0.03, -0.16)
        else:
            self._hair(shift)
        self._features(shift)
        worn = {"Mask": (look.mask, self._mask), "Goggles": (look.goggles, self._goggles)}
        worn["Face_Shield"] = (look.shield, self._shield)  # last: it is in front of the others
        for name, (color, draw_item) in worn.items():
            if color:
                item = self.canvas.new_item(name)
                draw_item(item, color, shift)
                self.canvas.settle(item)

    def _hair(self, shift):
        look = self.look
        if look.hair_style == "bald":
            return
        if look.hair_style == "cap":
            cap = mirrored([[0.2, -0.63], [0.42, -0.5], [0.45, -0.22], [0.3, -0.25]])
            self.pen.fill(smooth(cap, 2), look.trim, shade=0.1)
            self.pen.detail([[-0.42, -0.25], [shift, -0.29], [0.42, -0.25]], look.trim, 0.03, -0.25)
            return
        crown = [[-0.41, -0.08], [-0.45, -0.35], [-0.25, -0.6], [0.1, -0.63], [0.38, -0.48], [0.45, -0.2]]
        brim = [[0.41, -0.06], [0.34, -0.24], [0.2 + shift, -0.34], [-0.05 + shift, -0.31], [-0.25 + shift, -0.3]]
        fringe = [*crown, *brim, [-0.35, -0.22]]
        self.pen.fill(smooth(fringe, 2), look.hair, shade=0.08)

    def _features(self, shift):
        look = self.look
        for sign in (-1, 1):
            x = sign * 0.165 + shift
            brow = [[x - 0.09 * sign, -0.185], [x, -0.21], [x + 0.09 * sign, -0.17]]
            self.pen.detail(brow, look.hair if look.hair_style != "bald" else "#4a3a30", 0.03)
        self._eyes(shift)
        if not look.mask:
            nose = [[shift * 1.3 + 0.01, 0.0], [shift * 1.5 + 0.05, 0.13], [shift * 1.3 - 0.02, 0.15]]
            self.pen.detail(nose, look.skin, 0.022, -0.3)
            mouth = smooth([[shift - 0.12, 0.27], [shift, 0.285], [shift + 0.12, 0.27], [shift, 0.34]], 2)
            self.pen.patch(mouth, "#a84a45")
            for sign in (-1, 1):
                self.pen.glaze(ellipse(sign * 0.24 + shift, 0.14, 0.07, 0.05), "#e0605a", 0.25, blur=0.02)
        if look.spectacles and not look.goggles:
            for sign in (-1, 1):
                rim = ellipse(sign * 0.17 + shift, -0.04, 0.125, 0.1)
                self.pen.detail(rim, look.spectacles, 0.022)
                temple = [[sign * 0.29 + shift, -0.06], [sign * (0.34 if self.suit else 0.4), -0.05]]
                self.pen.detail(temple, look.spectacles, 0.022)
            self.pen.detail([[shift - 0.05, -0.05], [shift + 0.05, -0.05]], look.spectacles, 0.022)

    def _eyes(self, shift):
        for sign in (-1, 1):
            x = sign * 0.165 + shift
            if self.pose.blink:
                self.pen.detail(ellipse(x, -0.06, 0.075, 0.035, 0, 180), self.look.skin, 0.025, -0.6)
                continue
            pupil = x + shift * 0.25
            self.pen.patch(ellipse(x, -0.05, 0.08, 0.055), "#fdfdfb")
            self.pen.patch(ellipse(pupil, -0.05, 0.046), "#4b3424")
            self.pen.patch(ellipse(pupil, -0.05, 0.022), "#120c0a")
            self.pen.patch(ellipse(pupil + 0.015, -0.068, 0.013), "#ffffff")
            self.pen.detail(ellipse(x, -0.05, 0.085, 0.06, 195, 345), "#2b1d16", 0.02)

    def _mask(self, item, color, shift):
        for sign in (-1, 1):
            for start, stop in ((0.1, -0.02), (0.36, 0.1)):
                self.pen.detail([[sign * 0.29 + shift, start], [sign * 0.37, stop]], "#f4f4f2", 0.02)
        if self.look.cup:
            outline = mirrored([[0.08, 0.01], [0.16, 0.07], [0.31, 0.18], [0.29, 0.38], [0.12, 0.54]])
            self.pen.fill(smooth(np.add(outline, [shift, 0])), color, item, shade=0.1)
            self.pen.detail([[shift - 0.27, 0.24], [shift * 1.3, 0.2], [shift + 0.27, 0.24]], color, 0.016, -0.2)
            self.pen.fill(ellipse(shift * 1.5, 0.33, 0.075, 0.065), color, None, light=-0.2, edge=0.6)
            return
        outline = mirrored([[0.05, -0.01], [0.14, 0.02], [0.31, 0.08], [0.33, 0.22], [0.27, 0.46], [0.1, 0.54]])
        self.pen.fill(smooth(np.add(outline, [shift, 0]), 2), color, item, shade=0.09)
        for drop, half in ((0.17, 0.29), (0.26, 0.3), (0.35, 0.28)):
            pleat = [[shift - half, drop], [shift * 1.3, drop + 0.05], [shift + half, drop]]
            self.pen.detail(pleat, color, 0.018, -0.2)
        self.pen.detail([[shift - 0.1, 0.045], [shift * 1.2, 0.03], [shift + 0.1, 0.045]], color, 0.025, 0.5)

    def _goggles(self, item, color, shift):
        side = 0.5 if self.suit else 0.43
        strap = "#3a4048" if color != "#3a4048" else "#8a929c"
        self.pen.fill(box(-side, -0.115, side, 0.02, 0.02), strap, item, edge=0.7)
        half = [[0.12, -0.21], [0.33, -0.2], [0.385, -0.1], [0.37, 0.06], [0.2, 0.13], [0.07, 0.03]]
        outline = smooth(mirrored(half), 2) + [shift, 0]
        self.pen.fill(outline, color, item, shade=0.03)
        centre = outline.mean(0)
        lens = centre + (outline - centre) * [0.86, 0.74]
        self.pen.patch(lens, self.look.skin, -0.08)
        self._eyes(shift)
        self.pen.glaze(lens, "#a9d6ea", 0.34)
        for x, width in ((-0.31, 0.06), (0.0, 0.03), (0.26, 0.04)):
            glint = np.array([[x + 0.06, -0.15], [x + 0.06 + width, -0.15], [x + width, 0.04], [x, 0.04]]) + [shift, 0]
            self.pen.glaze(glint, "#ffffff", 0.6)

    def _shield(self, item, color, shift):
        wide = 0.55 if self.suit else 0.5
        half = [[wide, -0.36], [wide, 0.3], [0.42, 0.66], [0.2, 0.74]]
        visor = smooth(mirrored([[wide - 0.02, -0.42], *half]), 2) + [shift * 0.6, 0]
        self.pen.glaze(visor, "#cfe6f2", 0.3, item)
        glint = [[-0.4, -0.3], [-0.27, -0.3], [-0.36, 0.5], [-0.45, 0.4]]
        self.pen.glaze(np.add(glint, [shift, 0]), "#ffffff", 0.5, blur=0.01)
        self.pen.glaze(np.add([[0.3, 0.1], [0.38, 0.05], [0.34, 0.55], [0.24, 0.6]], [shift, 0]), "#ffffff", 0.4)
        self.pen.detail(visor, "#7fa6bd", 0.022, closed=True)
        band = [[-wide, -0.5], [-0.25, -0.56], [0.25, -0.56], [wide, -0.5]]
        band += [[wide, -0.32], [0.2, -0.37], [-0.2, -0.37], [-wide, -0.32]]
        self.pen.fill(smooth(np.add(band, [shift * 0.6, 0]), 2), color, item, shade=0.04)
