"""Draws the sample dataset: people, rooms and protective equipment."""
