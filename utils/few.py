"""When a score rests on too few objects to be told to the last digit."""

FEW_OBJECTS = 20  # of a class in validation: each moves its AP by 5 points and more
MARK = "~"


def is_few(objects: int) -> bool:
    """Return whether so many objects of a class give a rough AP; without any there is none."""
    return 0 < objects < FEW_OBJECTS
