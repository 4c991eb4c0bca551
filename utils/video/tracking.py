"""Numbers that an object keeps from frame to frame, by ByteTrack (Zhang et al., 2022) of the package `trackers`."""

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from utils.detections import Detections
from utils.drawing.boxes import draw_boxes, line_width
from utils.drawing.colors import class_color, contrast_color
from utils.errors import ToolkitError

LOST_SECONDS = 1.0  # an object that was out of sight for so long comes back with a new number
TRAIL_SECONDS = 2.0  # of its path, drawn with an object
ROUNDING = 1e-6  # seconds; sums of times are not exact

# ByteTrack knows no classes. Moving each class's boxes to a region of their own keeps a mask from taking the number of
# the face shield above it. Coordinates are float64, so nothing of a box is lost.
CLASS_STRIDE = 2.0**20  # px, more than any image's side


class Tracker:
    """Gives detections numbers, from 1 on, that are stable across the frames of one video.

    A new object is numbered in the second frame that shows it, so that a false alarm of a single frame uses none up.

    Args:
        frame_rate: frames per second, about, as they are given to `update`; with every third frame of a video, a third
            of its.
        threshold: least score of what is returned, and of what can become a new object. Detections below it (give
            them too, from about 0.1 on) only help to follow an object that is half hidden for a while.

    Raises:
        ToolkitError: the package `trackers` is not installed.
    """

    def __init__(self, frame_rate: float, *, threshold: float = 0.0):
        if not frame_rate > 0:
            raise ValueError(f"expected a frame rate above 0, got {frame_rate}")
        try:  # half a second of imports that only --track needs
            from supervision import Detections as TrackerDetections
            from trackers import ByteTrackTracker
        except ImportError as error:
            raise ToolkitError(
                f"--track needs the package trackers ({error}): "
                "python -m pip install trackers==2.6.1 supervision==0.31.2"
            ) from error
        self.threshold = threshold
        self._given = TrackerDetections
        self._tracker = ByteTrackTracker(
            frame_rate=frame_rate,
            lost_track_buffer=round(30 * LOST_SECONDS),  # counted in frames of 30 per second
            track_activation_threshold=threshold,
            high_conf_det_threshold=threshold,
            minimum_consecutive_frames=2,
        )
        self._step = 1 / frame_rate  # seconds
        self._trails: dict[int, deque[tuple[float, float, float]]] = {}  # (seconds, x, y) of each place
        self._time: float | None = None

    def update(self, detections: Detections, time: float) -> tuple[Detections, np.ndarray]:
        """Take in the next frame's detections, in pixels; `time`: its seconds, which age what is out of sight.

        Returns those of at least `threshold`, in their order, and their numbers: (N,) int64, -1 for one that has none
        yet.
        """
        # Two frames of damaged files may have one time, or go back.
        time = time if self._time is None or time > self._time else self._time + self._step
        between = self._step if self._time is None else time - self._time
        self._time = time
        # What was seen in the frame before is in sight, however long ago that frame was.
        self._lost_after = max(LOST_SECONDS, between) + ROUNDING
        self._tracker.maximum_time_without_update = self._lost_after
        shift = (detections.labels * CLASS_STRIDE)[:, None]
        given = self._given(
            xyxy=detections.boxes.astype(np.float64) + shift,
            confidence=detections.scores.astype(np.float64),
            data={"index": np.arange(len(detections))},
        )
        tracked = self._tracker.update(given, timestamp=time)
        track_ids = np.full(len(detections), -1, np.int64)
        if len(tracked):
            found = np.asarray(tracked.tracker_id, np.int64)
            track_ids[tracked.data["index"]] = np.where(found < 0, -1, found + 1)
        self._follow(detections, track_ids, time)
        return detections.above(self.threshold), track_ids[detections.scores >= self.threshold]

    def draw(
        self,
        frame: np.ndarray,
        detections: Detections,
        track_ids: np.ndarray,
        class_names: Sequence[str],
        *,
        show_labels: bool = True,
    ) -> np.ndarray:
        """Draw what `update` returned for a frame, each object with its trail, on a copy of it; RGB uint8 (H, W, 3)."""
        canvas = np.array(frame, order="C")
        width = line_width(frame.shape[:2])
        for label, track_id in zip(detections.labels.tolist(), track_ids.tolist(), strict=True):
            trail = self._trails.get(track_id)
            if trail is None or len(trail) < 2:
                continue
            # OpenCV draws to a sixteenth of a pixel, given the coordinates times 16.
            points = np.rint(np.array(trail)[:, 1:] * 16).astype(np.int32).reshape(-1, 1, 2)
            color = class_color(label)
            for thickness, shade in ((width + 2, contrast_color(color)), (width, color)):
                cv2.polylines(canvas, [points], False, shade, thickness, cv2.LINE_AA, shift=4)
        return draw_boxes(
            canvas,
            detections.boxes,
            detections.labels,
            class_names,
            scores=detections.scores,
            track_ids=track_ids,
            show_labels=show_labels,
        )

    def _follow(self, detections: Detections, track_ids: np.ndarray, time: float) -> None:
        """Extend the trails of visible objects by the middle of their lower edges; remove those of lost ones."""
        for (x1, _, x2, y2), track_id in zip(detections.boxes.tolist(), track_ids.tolist(), strict=True):
            if track_id >= 0:
                self._trails.setdefault(track_id, deque()).append((time, (x1 + x2) / 2, y2))
        for track_id, trail in list(self._trails.items()):
            while len(trail) > 1 and time - trail[0][0] > TRAIL_SECONDS:
                trail.popleft()
            if time - trail[-1][0] > self._lost_after:
                del self._trails[track_id]
