"""Files of weights, read without running anything that is in them: what they are, their parts, their names."""
