"""Helpers that tests share: sets, clips and runs made on the spot, and where the repository lies."""
