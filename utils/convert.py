"""Runs convert_dataset.py: `python -m utils.convert` is how it was started once."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).resolve().parents[1] / "convert_dataset.py"), run_name="__main__")
