"""The dataset's YAML: its keys, paths and classes, checked before anything is read."""
