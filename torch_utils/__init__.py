"""Trains and runs networks; nothing here knows a model's name."""
