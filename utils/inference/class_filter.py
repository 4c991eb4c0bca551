"""The choice of classes that `--classes` makes."""

from collections.abc import Sequence

from utils.errors import ConfigError


def class_filter(values: Sequence[str] | None, class_names: Sequence[str]) -> set[int] | None:
    """Return the labels that `--classes` asks for, by name (in any case) or number from 1; None, all, without it.

    Args:
        class_names: background first, so that a class's number is its index.

    Raises:
        ConfigError: an unknown class, with the list of those there are.
    """
    if values is None:
        return None
    known = {str(label): label for label in range(1, len(class_names))}
    known |= {name.casefold(): label for label, name in enumerate(class_names) if label}
    unknown = [value for value in values if value.casefold() not in known]
    if unknown:
        there = ", ".join(f"{label} {name}" for label, name in enumerate(class_names) if label)
        raise ConfigError(f"--classes: unknown {', '.join(map(repr, unknown))}; the classes are: {there}")
    return {known[value.casefold()] for value in values}
