"""The plain way to training samples, for comparison: what most scripts on this subject do for every item, every time.

The XML is parsed again, the image becomes float32 before it is resized, a mosaic is put together at twice the size
and shrunk, and the augmentations are composed anew. Written for the benchmark after the public pipeline
sovit-123/fasterrcnn-pytorch-training-pipeline (November 2026), whose steps, order and parameters it has; no line is
theirs.
"""

import os
import random
from pathlib import Path
from xml.etree import ElementTree

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2

COORDINATES = ("xmin", "ymin", "xmax", "ymax")
BOXES = {"format": "pascal_voc", "label_fields": ["labels"]}


class PlainPipeline:
    """Items `(image, boxes, labels)` of images and the XML files beside or apart from them.

    Args:
        image_paths, labels: paths, in step.
        img_size: the long side of an image, or both with `square`.
        mosaic_fraction: of the items; the public pipeline makes every item a mosaic.
        fog: whether its RandomFog is among the augmentations, which takes half of the time of all.
    """

    def __init__(self, image_paths, labels, class_names, img_size, *, mosaic_fraction, square=False, fog=True):
        self.image_paths: list[Path] = image_paths
        self.labels: list[Path] = labels
        self.class_names, self.img_size, self.square = list(class_names), img_size, square
        self.mosaic_fraction, self.fog = mosaic_fraction, fog

    def __call__(self, index: int):
        make = self.mosaic if random.random() < self.mosaic_fraction else self.load
        image, boxes, labels = make(index)
        made = _augmentations(self.fog)(image=image, bboxes=boxes.numpy(), labels=labels.numpy())
        return made["image"], torch.as_tensor(np.array(made["bboxes"])).to(torch.int64), labels

    def load(self, index: int):
        pixels = cv2.cvtColor(cv2.imread(str(self.image_paths[index])), cv2.COLOR_BGR2RGB).astype(np.float32)
        image = self.resized(pixels) / 255.0
        (height, width), (new_height, new_width) = pixels.shape[:2], image.shape[:2]
        boxes, labels = [], []
        for element in ElementTree.parse(self.labels[index]).getroot().findall("object"):
            x1, y1, x2, y2 = (int(float(element.find("bndbox").find(name).text)) for name in COORDINATES)
            x2, y2 = min(x2, width), min(y2, height)
            if x1 >= x2 or y1 >= y2:
                continue  # which would end the public pipeline
            labels.append(self.class_names.index(element.find("name").text))
            boxes.append([x1 / width * new_width, y1 / height * new_height,
                          x2 / width * new_width, y2 / height * new_height])  # fmt: skip
        return image, torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64)

    def resized(self, pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        ratio = self.img_size / max(height, width)
        if self.square:
            return cv2.resize(pixels, (self.img_size, self.img_size))
        return pixels if ratio == 1 else cv2.resize(pixels, (int(width * ratio), int(height * ratio)))

    def mosaic(self, index: int):
        side = 2 * self.img_size
        centre_x, centre_y = (int(random.uniform(side / 4, 3 * side / 4)) for _ in range(2))
        canvas = np.full((side, side, 3), 114 / 255, np.float32)
        all_boxes, all_labels = [], []
        partners = [random.randrange(len(self.image_paths)) for _ in range(3)]
        for place, source in enumerate([index, *partners]):
            image, boxes, labels = self.load(source)
            height, width = image.shape[:2]
            x, y = centre_x - (0 if place % 2 else width), centre_y - (0 if place // 2 else height)
            x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, side), min(y + height, side)
            canvas[y1:y2, x1:x2] = image[y1 - y : y2 - y, x1 - x : x2 - x]
            all_boxes.append(boxes + torch.tensor([x, y, x, y]))
            all_labels.append(labels)
        boxes = torch.cat(all_boxes).clamp(0, side).to(torch.int32).numpy()
        some_left = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        compose = A.Compose([A.Resize(self.img_size, self.img_size)], bbox_params=BOXES)
        labels = torch.cat(all_labels).numpy()[some_left]
        made = compose(image=canvas, bboxes=boxes[some_left].astype(np.float32), labels=labels)
        return made["image"], torch.tensor(made["bboxes"]), torch.tensor(np.array(made["labels"], np.int64))


def _augmentations(fog: bool):
    return A.Compose(
        [
            A.MotionBlur(blur_limit=3, p=0.5),
            A.Blur(blur_limit=3, p=0.5),
            A.RandomBrightnessContrast(brightness_limit=0.2, p=0.5),
            A.ColorJitter(p=0.5),
            A.RandomGamma(p=0.2),
            *([A.RandomFog(p=0.2)] if fog else []),
            ToTensorV2(p=1.0),
        ],
        bbox_params=BOXES,
    )
