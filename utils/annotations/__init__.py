"""Annotations as the toolkit holds them: boxes and labels, checked when made, and what was found."""
