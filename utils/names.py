"""Compares names as people read them: composed and decomposed accents are one, look-alike characters are reported."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

MOST_NAMED = 3  # characters that a message names

# Letters of Cyrillic and Greek that look like Latin ones, in either case, by their lower case; dashes and apostrophes.
# NFKC knows of full-width letters and the like.
_LIKE = {
    "a": "\u0430\u03b1", "b": "\u0432\u03b2", "c": "\u0441\u03f2", "d": "\u0501", "e": "\u0435\u03b5",
    "\u00eb": "\u0451", "h": "\u04bb\u043d\u03b7", "i": "\u0456\u03b9\u0131", "\u00ef": "\u0457",
    "j": "\u0458", "k": "\u043a\u03ba",
    "l": "\u04cf", "m": "\u043c\u03bc", "n": "\u03bd", "o": "\u043e\u03bf", "p": "\u0440\u03c1", "q": "\u051b",
    "s": "\u0455", "t": "\u0442\u03c4", "w": "\u051d", "x": "\u0445\u03c7", "y": "\u0443\u03c5\u03b3", "z": "\u03b6",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "'": "\u2018\u2019\u0060\u00b4",
}  # fmt: skip
_LOOK_ALIKE = {ord(other): latin for latin, others in _LIKE.items() for other in others}


def nfc(text: str) -> str:
    """Return the text with composed accents: macOS decomposes those of file names, and other tools keep either."""
    return unicodedata.normalize("NFC", text)


def outline(text: str) -> str:
    """Return a key that is equal for names that differ in case, kinds of space or look-alike characters alone."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc") or c in "\t\n")
    text = unicodedata.normalize("NFC", text).translate(_LOOK_ALIKE)
    return " ".join(text.split())


def look_alike(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks the same as `name` but is another; None for one that differs in case alone."""
    return next((k for k in known if outline(k) == outline(name) and nfc(k).casefold() != nfc(name).casefold()), None)


def how_they_differ(name: str, other: str) -> str:
    """Describe the characters in which look-alikes differ: "has U+041E (CYRILLIC CAPITAL LETTER O) for 'O'"."""
    name, other = nfc(name), nfc(other)
    if name.casefold() == other.casefold():
        return "differs in upper and lower case"
    if len(name) == len(other):  # character by character, which no alignment is better at
        steps = [(i, i + 1, i, i + 1) for i in range(len(name))]
    else:
        steps = [code[1:] for code in difflib.SequenceMatcher(None, name, other, autojunk=False).get_opcodes()]
    differences = []
    for i1, i2, j1, j2 in steps:
        here, there = name[i1:i2], other[j1:j2]
        if here.casefold() == there.casefold():
            continue
        if here and there:
            differences.append(f"has {_spelled(here)} for {_spelled(there)}")
        else:
            differences.append(f"has {_spelled(here)} more" if here else f"lacks {_spelled(there)}")
    more = f" and {len(differences) - MOST_NAMED} more" if len(differences) > MOST_NAMED else ""
    return " and ".join(differences[:MOST_NAMED]) + more or "differs in upper and lower case"


def _spelled(characters: str) -> str:
    """Spell characters by number and name; a run of plain ones in quotes."""
    if re.fullmatch(r"[!-~]+", characters):
        return repr(characters)
    shown = [f"U+{ord(c):04X} ({unicodedata.name(c, 'unnamed')})" for c in characters[:3]]
    return ", ".join(shown) + ", …" * (len(characters) > 3)


def plain_name(name: str) -> str:
    """Return a name with `/` between folders, and without parts that say "here"."""
    parts = name.strip().replace("\\", "/").split("/")
    return "/".join(part for index, part in enumerate(parts) if part != "." and (part or not index))
