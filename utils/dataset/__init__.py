"""A dataset as a whole: its splits read, divided, batched and written."""
