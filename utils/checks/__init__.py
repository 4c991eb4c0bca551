"""Checks of a dataset before any training: faults, statistics, and how a detector's anchors fit the objects."""
