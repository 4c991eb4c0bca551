"""Boxes, names and colours on images; contact sheets and windows."""
