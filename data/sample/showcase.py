"""One large image and one short clip of the drawn world, to run inference on."""

from dataclasses import replace

import av
import cv2
import numpy as np

from sample.canvas import SCALE, Canvas
from sample.figures import Look, Pose
from sample.rooms import corridor, ward
from sample.scenes import photographed, put_person, room_image

FPS, SECONDS = 20, 5
WALKER = Look(skin="#d9a07a", clothes="coverall", color="#f4f6f7", mask="#f5f5f2", cup=True, goggles="#cfd8dc")
WALKER = replace(WALKER, gloves="#3d6fc4")
DOCTOR = Look(skin="#8a5a3c", hair="#1d1815", hair_style="bun", mask="#8fc3de", shield="#3a4048", gloves="#7a4fb0")
NURSE = Look(skin="#f3cfb3", hair="#8a5a30", hair_style="cap", color="#7a3f58", trim="#7fb8b0", mask="#b8dcc8")
NURSE = replace(NURSE, gloves="#5a8fd8", stethoscope=True)


def backdrop(width, height, seed, floor, room):
    """Draw a room for images of more than the usual 480 pixels: at that size, so that its things grow along."""
    small = room_image(480, height * 480 // width, np.random.default_rng(seed), floor * 480 / width, room)
    return cv2.resize(small, (width * SCALE, height * SCALE), interpolation=cv2.INTER_LINEAR)


def staged_image():
    """Draw three members of staff on a ward: BGR uint8 `(720, 960, 3)`."""
    canvas = Canvas(960, 720, backdrop(960, 720, 3, 590, ward))
    raised = Pose(arms=((12, 5), (14, 158)), hands=("relaxed", "spread"), turn=0.35, tilt=3)
    holding = Pose(arms=((14, 8), (12, -72)), hands=("relaxed", "grip"), turn=-0.1)
    waiting = Pose(arms=((14, 158), (12, 4)), hands=("spread", "relaxed"), turn=-0.5, tilt=-3)
    yellow = replace(WALKER, skin="#e8b896", color="#f2d858", trim="#e07a2a", gloves="#3aa06a")
    yellow = replace(yellow, goggles=None, shield="#f5f5f5", mask="#a8d3e6", cup=False)
    people = (
        (165, 262, 148, replace(DOCTOR, stethoscope=True), raised),
        (800, 268, 148, yellow, waiting),
        (485, 235, 160, replace(WALKER, prop="clipboard"), holding),
    )
    for x, neck, unit, look, pose in people:
        put_person(canvas, x, 0, unit, look, pose, neck)
    return photographed(canvas.finished(), np.random.default_rng(35))


def walking(phase, direction):
    """Return pose of a walker at `phase` radians of the stride; `direction` is 1 to the right and -1 to the left."""
    legs, arms = [], []
    for side, sign in ((0, -1), (1, 1)):
        swing = np.sin(phase + np.pi * side)
        forward = max(0.0, np.cos(phase + np.pi * side))
        legs.append((sign * direction * 20 * swing, sign * direction * (20 * swing - 4 - 26 * forward)))
        arm = -18 * swing
        arms.append((5 + sign * direction * arm, 5 + sign * direction * (arm + 16)))
    rear = 1 if direction > 0 else 0
    return Pose(tuple(arms), legs=tuple(legs), hips=0.55, turn=0.75 * direction, lean=1.5 * direction, rear_arm=rear)


def clip_frames(count):
    """Yield `count` frames, RGB uint8 `(480, 640, 3)`, of two people passing a third who waves and looks after them."""
    room = backdrop(640, 480, 11, 400, corridor)
    for index in range(count):
        time = index / FPS
        progress = time / SECONDS
        canvas = Canvas(640, 480, room)
        put_person(canvas, 690 - 640 * progress, 438, 74, NURSE, walking(4.6 * time + 1, -1))
        lift = 0.5 - 0.5 * np.cos(2 * np.pi * min(1, max(0, time - 0.6) / 3.6))
        greeting = Pose(
            arms=((10 + 62 * lift, 6 + (150 + 16 * np.sin(7 * time)) * lift), (14, 40 + 10 * np.sin(1.5 * time))),
            hands=("spread", "relaxed"),
            turn=float(np.clip(1.6 * progress - 0.8, -0.7, 0.7)),
            tilt=3 * np.sin(1.8 * time),
            blink=time % 2.3 < 0.12,
        )
        put_person(canvas, 470, 452, 79, DOCTOR, greeting)
        put_person(canvas, -70 + 700 * progress, 468, 86, WALKER, walking(4.4 * time, 1))
        yield cv2.cvtColor(canvas.finished(), cv2.COLOR_BGR2RGB)


def write_clip(path, count=FPS * SECONDS):
    """Write the clip's first `count` frames to `path`: H.264, yuv420p, index first so that browsers can stream it."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "24", "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for frame in clip_frames(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
