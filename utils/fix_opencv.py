"""Put the OpenCV build with windows in place: `python -m utils.fix_opencv`.

opencv-python and opencv-python-headless, which albumentations asks for, write the same `cv2/` folder, and whichever
pip unpacked last wins. This asks a process of its own what is there and reinstalls only where that is needed. Where
the build with windows cannot be loaded, for want of system libraries, the headless one goes in and it is said so:
everything but windows works with it.
"""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

from utils.cli.script import ending

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
_QUESTION = "import cv2; print(cv2.getBuildInformation())"


def main() -> int:
    gui, problem = installed_gui()
    if gui:
        print(f"opencv: {gui} windows")
        return 0
    print(f"opencv: {problem or 'the headless build is in place'}; installing the build with windows")
    if not _install("opencv-python"):
        return 1
    gui, problem = installed_gui()
    if gui:
        print(f"opencv: fixed, {gui} windows")
        return 0
    print(
        f"opencv: the build with windows cannot be loaded ({problem}).\n"
        "  On Debian and Ubuntu: apt-get install libgl1 libglib2.0-0 libsm6 libxext6, then run this again.\n"
        "  Until then the headless build goes in: everything works but windows on the screen."
    )
    if not _install("opencv-python-headless"):
        return 1
    _, problem = installed_gui()
    if problem:
        print(f"opencv: the headless build cannot be loaded either: {problem}", file=sys.stderr)
    return 1 if problem else 0


def installed_gui() -> tuple[str | None, str | None]:
    """Return the window system of cv2, None where headless, and why cv2 cannot be imported, None where it can."""
    answer = subprocess.run([sys.executable, "-c", _QUESTION], capture_output=True, text=True, check=False)
    if answer.returncode:
        return None, (answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"])[-1]
    found = re.search(r"^\s*GUI:\s*(\S+)", answer.stdout, re.MULTILINE)
    return (found[1] if found and found[1] != "NONE" else None), None


def _install(package: str) -> bool:
    """Reinstall `package` at the version that is there, or else at the one that requirements.txt pins."""
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pin = re.search(rf"^{package}==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
        assert pin is not None, f"{REQUIREMENTS} pins no {package}"
        version = pin[1]
    command = [sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps", f"{package}=={version}"]
    # Not to our output: behind `| head` pip would fail for want of a reader.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{done.stderr.strip()}\nopencv: failed: {' '.join(command)}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    with ending():
        sys.exit(main())
