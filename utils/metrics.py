"""The number of detections of an image that a model may give: torchvision's 100, or more where the data needs it."""

from collections.abc import Mapping, Sequence

from utils.annotations.annotation import Annotation

FEW_OBJECTS = 20  # of a class in validation: each moves its AP by 5 points and more

MARK = "~"


USUAL = 100  # torchvision's, and COCO's in AP
HEADROOM = 2  # times the most objects: false positives of a high score take places, and new images may hold more


def most_objects(splits: Mapping[str, Sequence[Annotation]]) -> int:
    """Return the most objects that an image of any split holds."""
    return max((len(a.labels) for annotations in splits.values() for a in annotations), default=0)


def needed_detections(most: int) -> int:
    """Return the limit for images of at most `most` objects: whole hundreds."""
    return max(USUAL, -(-HEADROOM * most // 100) * 100)


def limit_report(limit: int, most: int, *, of_a_class: int) -> list[str]:
    """Return lines for the log; none for the usual limit where it suffices.

    Args:
        limit: detections of an image that the model gives.
        most: objects that an image of the data holds.
        of_a_class: objects of one class that a validation image holds.
    """
    lines = []
    if limit < most:
        lines.append(
            f"an image holds {most} objects, and --max-detections is {limit}: the others cannot be found; "
            f"--max-detections {needed_detections(most)} would do"
        )
    elif limit != USUAL:
        lines.append(
            f"detections: up to {limit} of an image instead of {USUAL} (an image of the data holds {most} objects; "
            "--max-detections is another limit); the checkpoint keeps it for inference"
        )
    if of_a_class > USUAL:
        lines.append(
            f"AP: a validation image holds {of_a_class} objects of one class, so up to {max(limit, USUAL)} detections "
            f"of an image and class count, where COCO's own AP counts {USUAL}; that number stands beside it"
        )
    return lines


def is_few(objects: int) -> bool:
    """Return whether so many objects of a class give a rough AP; without any there is none."""
    return 0 < objects < FEW_OBJECTS
