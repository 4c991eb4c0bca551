"""YOLO text files and their data.yaml."""
