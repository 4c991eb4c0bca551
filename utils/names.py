"""Names compared as people read them: composed or decomposed accents are one, and look-alike characters are told."""

import difflib
import re
import unicodedata

MOST_TOLD = 3  # characters that a message names

# Letters of Cyrillic and Greek that look like Latin ones, in lower case; NFKC knows of full-width and the like.
_LOOK_ALIKE = str.maketrans(
    "асԁеёһіїјӏорԛѕтуԝхгкмнвьαβγεικνορτυχωϲ" + "ı‐‑‒–—―−’‘`´",
    "acdeëhiïjlopqstywxrkmhbbabyeiknoptuxwc" + "i-------''''",
)


def nfc(text: str) -> str:
    """The text with composed accents: macOS decomposes those of file names, and other tools keep either."""
    return unicodedata.normalize("NFC", text)


def outline(text: str) -> str:
    """What a name looks like: equal for names that differ in case, kinds of space or look-alike characters alone."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc") or c in "\t\n")
    text = unicodedata.normalize("NFC", text).translate(_LOOK_ALIKE)
    return " ".join(text.split())


def how_they_differ(name: str, other: str) -> str:
    """In what `name` is not `other` though it looks like it: "has U+041E (CYRILLIC CAPITAL LETTER O) for 'O'"."""
    name, other = nfc(name), nfc(other)
    if name.casefold() == other.casefold():
        return "differs in upper and lower case"
    told = []
    for _, i1, i2, j1, j2 in difflib.SequenceMatcher(None, name, other, autojunk=False).get_opcodes():
        here, there = name[i1:i2], other[j1:j2]
        if here == there or (here.casefold() == there.casefold() and here):
            continue
        if here and there:
            told.append(f"has {_spelled(here)} for {_spelled(there)}")
        else:
            told.append(f"has {_spelled(here)} more" if here else f"lacks {_spelled(there)}")
    more = f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    return " and ".join(told[:MOST_TOLD]) + more or "differs in upper and lower case"


def _spelled(characters: str) -> str:
    """Each by its number and name; a run of plain ones in quotes."""
    if re.fullmatch(r"[!-~]+", characters):
        return repr(characters)
    shown = [f"U+{ord(c):04X} ({unicodedata.name(c, 'unnamed')})" for c in characters[:3]]
    return ", ".join(shown) + ", …" * (len(characters) > 3)
