"""A label that is probably wrong, and what a model would have in its place."""

from collections.abc import Iterable
from dataclasses import dataclass

KINDS = {
    "missing": "objects without a box",
    "wrong-class": "boxes of another class",
    "badly-placed": "boxes beside their object",
    "doubled": "two boxes on one object",
}


@dataclass(frozen=True)
class LabelError:
    """A label that is probably wrong.

    | field | meaning |
    |---|---|
    | image | index of the image |
    | kind | one of `KINDS` |
    | score | probability that it is an error, 0 to 1; comparable between kinds |
    | object | index of the label within its image, from 0; None for a missing one |
    | label | its class, from 1; None for a missing one |
    | suggested_label | the class that the model sees; None for a doubled one, which is to go |
    | suggested_box | xyxy in pixels of the original image; None for a doubled one |
    | confidence | the model's score of what it sees, 0 to 1; 0 where it sees nothing |
    | other | index of the label that stays, of two on one object; else None |
    """

    image: int
    kind: str
    score: float
    object: int | None
    label: int | None
    suggested_label: int | None
    suggested_box: tuple[float, float, float, float] | None
    confidence: float
    other: int | None = None


def ranked(errors: Iterable[LabelError]) -> list[LabelError]:
    """Sort errors, the most probable first; equal ones by image and object."""
    return sorted(errors, key=lambda e: (-e.score, e.image, -1 if e.object is None else e.object, e.kind))
