"""Say what to do where a script was started with a Python that is too old, or that lacks the packages.

Every script asks here before it imports anything else. This file, `utils/__init__.py` and the scripts must be readable
by Python 3.6, for the answer to be more than a SyntaxError; what the scripts import later need not be.
"""

import importlib.util
import os
import sys
from pathlib import Path

OLDEST = (3, 10)  # pyproject.toml and the Makefile say the same
DATA_PACKAGES = ("numpy", "cv2", "PIL", "yaml", "tqdm", "matplotlib", "jinja2", "scipy")
NETWORK_PACKAGES = (*DATA_PACKAGES, "torch", "torchvision", "albumentations", "pycocotools", "av")
VENV = Path(__file__).resolve().parents[2] / ".venv"


def check_python(packages):
    """End the process with status 2 and the way out, unless this Python is new enough and has all of `packages`."""
    if sys.version_info < OLDEST:
        found = (
            f"this is Python {sys.version_info[0]}.{sys.version_info[1]}; {OLDEST[0]}.{OLDEST[1]} or newer is needed"
        )
    else:
        missing = [name for name in packages if name not in sys.modules and importlib.util.find_spec(name) is None]
        if not missing:
            return
        found = f"this Python ({sys.executable}) lacks {', '.join(missing)}"
    sys.stderr.write(f"error: {found}\n  {_remedy()}\n")
    sys.exit(2)


def _remedy():
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        here = python.relative_to(Path.cwd())
    except ValueError:
        here = python
    make = "make setup" if Path.cwd() == VENV.parent else f"make -C {VENV.parent} setup"
    if not python.exists():
        return f"use {here}, which {make} installs with all that is needed (docs/install.md has the plain commands)"
    if Path(sys.prefix).resolve() == VENV.resolve():
        return f"it is the toolkit's own, and not complete: {make} installs what is missing"
    return f"use {here} instead, or {make} where that is not complete"
