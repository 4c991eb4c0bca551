"""A run's checkpoints and folder: written whole, read without running anything, resumed exactly."""
