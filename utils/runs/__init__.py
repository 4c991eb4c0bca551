"""The folder of a run: its name, logs, tables and sheets of images."""
