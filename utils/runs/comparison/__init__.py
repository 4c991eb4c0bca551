"""Runs side by side, from the files in their folders: results, settings that differ, and curves."""
