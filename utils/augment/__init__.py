"""Samples for training: images mixed, cut, scaled and augmented, the same for a seed, an epoch and an index."""
