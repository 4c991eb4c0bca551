"""Objects keep their numbers through crossings and short absences."""

import subprocess
import sys

import numpy as np
import pytest

from support.paths import ROOT
from support.tracks import detections
from utils.drawing.boxes import draw_boxes
from utils.drawing.colors import class_color
from utils.video.tracking import Tracker

pytest.importorskip("trackers")
NAMES = ("__background__", "Mask", "Face_Shield")


class Tracked:
    """A tracker that is given frames at its rate, from 0 s on."""

    def __init__(self, frame_rate, **options):
        self.tracker, self.step, self.frame = Tracker(frame_rate, **options), 1 / frame_rate, -1
        self.draw = self.tracker.draw

    def update(self, found):
        self.frame += 1
        return self.tracker.update(found, self.frame * self.step)


def test_numbers_start_at_one_in_the_second_frame():
    tracker = Tracked(30)
    found, ids = tracker.update(detections((100, 100, 0.9, 1), (300, 100, 0.8, 1)))
    assert len(found) == 2 and ids.tolist() == [-1, -1] and ids.dtype == np.int64
    _, ids = tracker.update(detections((102, 100, 0.9, 1), (300, 102, 0.8, 1)))
    assert ids.tolist() == [1, 2]


def test_two_that_cross_keep_their_numbers():
    tracker = Tracked(30)
    history = []
    for t in range(60):
        # One goes right and a little down, the other left; they pass through each other in frame 30.
        found, ids = tracker.update(detections((50 + 8 * t, 200 + t, 0.9, 1), (530 - 8 * t, 215, 0.8, 1)))
        assert len(found) == 2
        history.append(ids.tolist())
    assert history[1:] == [[1, 2]] * 59


@pytest.mark.parametrize("frame_rate", [10, 25, 29.97, 60])
def test_one_that_vanishes_for_five_frames_comes_back_with_its_number(frame_rate):
    tracker = Tracked(frame_rate)
    for t in range(40):
        gone = 20 <= t < 25
        objects = [(300, 300, 0.9, 1)] if gone else [(300, 300, 0.9, 1), (100 + 3 * t, 100, 0.9, 1)]
        _, ids = tracker.update(detections(*objects))
        if t:
            assert ids.tolist() == ([1] if gone else [1, 2]), t
    _, ids = tracker.update(detections((300, 300, 0.9, 1), (220, 100, 0.9, 1), (500, 400, 0.9, 1)))
    _, ids = tracker.update(detections((300, 300, 0.9, 1), (223, 100, 0.9, 1), (500, 400, 0.9, 1)))
    assert ids.tolist() == [1, 2, 3]


def test_one_that_was_gone_for_long_is_new():
    tracker = Tracked(10)
    for _ in range(5):
        tracker.update(detections((100, 100, 0.9, 1)))
    for _ in range(15):
        _, ids = tracker.update(detections())
        assert ids.shape == (0,) and ids.dtype == np.int64
    tracker.update(detections((100, 100, 0.9, 1)))
    _, ids = tracker.update(detections((100, 100, 0.9, 1)))
    assert ids.tolist() == [2]


def test_classes_never_take_each_others_number():
    tracker = Tracked(30)
    for _ in range(4):
        tracker.update(detections((100, 100, 0.9, 1), (104, 100, 0.9, 2)))
    _, ids = tracker.update(detections((104, 100, 0.9, 2)))
    assert ids.tolist() == [2]
    _, ids = tracker.update(detections((100, 100, 0.9, 1), (104, 100, 0.9, 2)))
    assert ids.tolist() == [1, 2]


def test_low_scores_follow_an_object_but_are_not_shown():
    tracker = Tracked(30, threshold=0.5)
    for t in range(90):
        hidden = 10 <= t < 80  # far longer than a lost object is remembered
        found, ids = tracker.update(detections((100 + 3 * t, 100, 0.2 if hidden else 0.9, 1), (600, 50, 0.3, 1)))
        assert len(found) == (0 if hidden else 1) and (found.scores >= 0.5).all()
        if t and not hidden:
            assert ids.tolist() == [1], t


def test_the_input_order_and_boxes_are_kept():
    tracker, rng = Tracked(30), np.random.default_rng(0)
    places = {1: (100, 100), 2: (300, 100), 3: (500, 100), 4: (100, 300)}
    tracker.update(detections(*((x, y, 0.9, 1) for x, y in places.values())))
    for _ in range(5):
        order = rng.permutation(4) + 1
        given = detections(*((*places[i], 0.9, 1) for i in order))
        found, ids = tracker.update(given)
        assert ids.tolist() == order.tolist() and (found.boxes == given.boxes).all()


def test_drawing_shows_number_and_trail():
    tracker = Tracked(30)
    frame = np.full((240, 320, 3), 90, np.uint8)
    for t in range(20):
        found, ids = tracker.update(detections((60 + 8 * t, 120, 0.9, 2)))
    drawn = tracker.draw(frame, found, ids, NAMES)
    plain = draw_boxes(frame, found.boxes, found.labels, NAMES, scores=found.scores)
    assert (frame == 90).all() and drawn.shape == frame.shape
    assert np.abs(drawn[150, 80:180] - np.float64(class_color(2))).max() < 60  # where it came along
    assert (drawn[150, :50] == 90).all() and (drawn[150, 240:] == 90).all()
    assert (drawn[:100] != plain[:100]).any()  # the tag: `#1 Face_Shield 0.90`
    bare = tracker.draw(frame, found, ids, NAMES, show_labels=False)
    assert (bare[:85] == 90).all() and (drawn[:85] != 90).any()


def test_drawing_without_objects_and_before_numbers():
    frame = np.full((60, 80, 3), 90, np.uint8)
    tracker = Tracked(30)
    assert (tracker.draw(frame, *tracker.update(detections()), NAMES) == frame).all()
    assert (tracker.draw(frame, *tracker.update(detections((40, 30, 0.9, 1))), NAMES) != frame).any()


def test_the_trail_of_an_object_long_gone_is_forgotten():
    frame = np.full((240, 320, 3), 90, np.uint8)
    tracker = Tracked(5)
    for t in range(6):
        first = tracker.update(detections((60 + 8 * t, 120, 0.9, 1)))
    plain = draw_boxes(frame, first[0].boxes, first[0].labels, NAMES, scores=first[0].scores, track_ids=first[1])
    assert (tracker.draw(frame, *first, NAMES) != plain).any()
    for _ in range(10):
        tracker.update(detections())
    assert (tracker.draw(frame, *first, NAMES) == plain).all()


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    code = (
        "import sys; sys.modules['trackers'] = None\n"
        "from utils.errors import ToolkitError\n"
        "from utils.video.tracking import Tracker\n"
        "try: Tracker(30)\n"
        "except ToolkitError as error: print(error)"
    )
    root = ROOT
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "--track needs the package trackers" in done.stdout and "pip install trackers==" in done.stdout


def test_frame_rates_that_cannot_be():
    for rate in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="frame rate above 0"):
            Tracker(rate)
