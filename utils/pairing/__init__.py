"""Pairs of images and annotation files, in folders as people keep them."""
