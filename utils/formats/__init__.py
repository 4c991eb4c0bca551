"""Annotation formats: Pascal VOC, COCO, YOLO and LabelMe, and how each is detected."""
