"""Trained weights in a model: published ones, a checkpoint's, and what fits of another model's."""
