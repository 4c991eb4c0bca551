"""Suggests the known name that a misspelt one probably means, of flags, models, keys and classes alike."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

from utils.names import outline

LONGEST = 200  # characters of a name that are compared

# Words and parts of words that turn a name into its opposite: "NO-Hardhat", "unmasked", "maskless".
_NEGATIONS = frozenset("no not non none never without wo lacks lacking missing absent off free less anti un".split())
_BEFORE = ("without", "none", "non", "not", "no", "un", "in", "im", "dis", "anti", "wo")
_BEHIND = ("missing", "absent", "without", "none", "less", "free", "not", "off", "no")
_OPPOSITES = (("with", "without"), ("on", "off"), ("left", "right"), ("open", "closed"), ("male", "female"))


def suggestion(name: str, known: Iterable[str], *, cutoff: float = 0.6, numbers_matter: bool = True) -> str | None:
    """Return the known name that is most like `name`, None where none is: a slip of spelling, not another meaning.

    Names that differ by a negation or two words of opposite meaning are never suggested for each other, nor, if
    `numbers_matter`, those that differ in a number: class 1 is not class 2, but a model's version may be a slip.
    `cutoff` is the least likeness, 0 to 1, by difflib.
    """
    name = name[:LONGEST]

    def opposed(other: str) -> bool:
        return _opposed(name, other) or (numbers_matter and _numbers(name) != _numbers(other))

    spelled = {candidate.casefold(): candidate for candidate in known if not opposed(candidate)}
    close = difflib.get_close_matches(name.casefold(), spelled, 1, cutoff)
    return spelled[close[0]] if close else None


def plain(class_name: str) -> str:
    """Return a class name without what people vary: case, spaces, hyphens, underscores, look-alike letters."""
    return re.sub(r"[\s_-]+", "", outline(class_name))


def _opposed(one: str, other: str) -> bool:
    if plain(one) == plain(other):
        return False
    words = [_words(one), _words(other)]
    if words[0] & _NEGATIONS != words[1] & _NEGATIONS:
        return True
    if any(a in words[i] and b in words[1 - i] for a, b in _OPPOSITES for i in (0, 1)):
        return True
    return _negates(plain(one), plain(other)) or _negates(plain(other), plain(one))


def _numbers(name: str) -> list[str]:
    return re.findall(r"\d+", plain(name))


def _words(name: str) -> set[str]:
    """Return the words of a name in lower case; "NoHelmet" is two, and so is "w/o mask"."""
    name = re.sub(r"\bw/o\b", "without ", unicodedata.normalize("NFC", name), flags=re.IGNORECASE)
    name = re.sub(r"n['’]t\b", " not", name)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return set(re.findall(r"[^\W\d_]+", name.casefold()))


def _negates(longer: str, shorter: str) -> bool:
    """Check whether a name is another one negated at either end, perhaps misspelt: "nohelmt", "maskless"."""
    rest = [longer[len(part) :] for part in _BEFORE if longer.startswith(part)]
    rest += [longer[: -len(part)] for part in _BEHIND if longer.endswith(part)]
    there = [text for text in rest if len(text) > 2]
    return any(_like(text, shorter) > _like(longer, shorter) for text in there)


def _like(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
