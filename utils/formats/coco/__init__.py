"""COCO JSON for object detection."""
