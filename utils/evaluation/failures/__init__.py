"""Finds what a detector does wrong: kinds of error with their cost, missed objects by size and place, the worst images."""
