"""Frames from media files, upright, progressive and in the standard range, and whether a file is whole."""
