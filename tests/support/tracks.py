"""Detections for tests of tracking."""

import numpy as np

from utils.detections import Detections


def detections(*objects):
    """Objects (x, y, score, label), each 40 px wide and 60 high, about the middle (x, y)."""
    rows = np.array(objects, np.float64).reshape(-1, 4)
    boxes = np.column_stack([rows[:, 0] - 20, rows[:, 1] - 30, rows[:, 0] + 20, rows[:, 1] + 30])
    return Detections(boxes.astype(np.float32), rows[:, 2].astype(np.float32), rows[:, 3].astype(np.int64))
