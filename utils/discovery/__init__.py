"""Finds out how a folder of images and annotations is laid out, and writes the dataset YAML for it."""
