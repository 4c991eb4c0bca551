"""Plots of runs, labels and trials, drawn without a display."""
