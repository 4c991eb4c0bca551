"""Scores detectors: which detections are right, how sure the scores are, at what threshold, and where a model fails."""
