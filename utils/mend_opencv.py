"""Runs `python -m utils.fix_opencv` under the name that it had once."""

import sys

from utils.fix_opencv import main

if __name__ == "__main__":
    sys.exit(main())
