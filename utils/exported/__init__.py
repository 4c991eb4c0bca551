"""Exported detectors: what their files say of themselves, the engines that run them, and a predictor without torch."""
