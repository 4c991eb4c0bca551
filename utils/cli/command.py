"""Command lines to type next, in the words of a shell."""

import shlex


def command(script: str, **flags: object) -> str:
    """Return `python SCRIPT` with each flag that is not None: `img_size=480` becomes `--img-size 480`.

    The values of a tuple follow one another.
    """
    words = ["python", script]
    for name, value in flags.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)
