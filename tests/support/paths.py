"""Names where the repository and real data lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"  # beside the repository; tests that need it skip where it is not there
