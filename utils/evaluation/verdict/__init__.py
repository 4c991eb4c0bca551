"""The verdict on a detector: its numbers in one plain dict, its sentences, and what a checkpoint keeps."""
