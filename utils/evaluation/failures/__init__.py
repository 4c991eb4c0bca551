"""Finds what a detector does wrong: kinds of error with their cost, misses by size and place, the worst images."""
