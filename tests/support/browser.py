"""A headless Chromium, driven by chromedriver over plain HTTP as the WebDriver standard has it; without a network."""

import base64
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEYS = {
    "right": "\ue014", "left": "\ue012", "up": "\ue013", "down": "\ue015", "home": "\ue011", "end": "\ue010",
    "enter": "\ue007", "escape": "\ue00c", "tab": "\ue004", "space": " ",
}  # fmt: skip
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --window-size=1200,900"
).split()


class Browser:
    """A browser with one window, started with more `flags`; a context manager that ends it."""

    def __init__(self, profile: Path, *flags: str):
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        port = next(m[1] for line in self._driver.stdout if (m := re.search(r"successfully on port (\d+)", line)))
        self._url = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": BROWSER,
            "args": [
                *FLAGS,
                *flags,
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--user-data-dir={profile}",
            ],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            self._url += "/" + self._post("", capabilities={"alwaysMatch": wanted})["sessionId"]
        except BaseException:
            self._driver.kill()
            raise

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_) -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(self._url, method="DELETE"), timeout=20).close()
        finally:
            self._driver.terminate()
            self._driver.wait(20)
            self._driver.stdout.close()

    def _post(self, path: str, **values) -> dict:
        request = urllib.request.Request(
            self._url + path, json.dumps(values).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, page: Path | str) -> None:
        """Show a file, or an address."""
        self._post("/url", url=page if isinstance(page, str) else page.resolve().as_uri())

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file to a field of the page."""
        found = self._post("/element", using="css selector", value=selector)
        self._post(f"/element/{next(iter(found.values()))}/value", text=str(path.resolve()))

    def screenshot(self, path: Path) -> None:
        """Save what the window shows as a PNG."""
        with urllib.request.urlopen(f"{self._url}/screenshot", timeout=120) as answer:
            path.write_bytes(base64.b64decode(json.load(answer)["value"]))

    def run(self, script: str, *values):
        """Run JavaScript and return its value; two frames pass first, so that all is drawn that was asked for."""
        frames = "const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1);"
        frames += (
            f"requestAnimationFrame(() => requestAnimationFrame(() => done((function() {{{script}}})(...given))));"
        )
        return self._post("/execute/async", script=frames, args=list(values))

    def press(self, *keys: str) -> None:
        """Press keys, by name or as they are."""
        pressed = [KEYS.get(key, key) for key in keys]
        actions = [{"type": kind, "value": key} for key in pressed for kind in ("keyDown", "keyUp")]
        self._post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def point_at(self, x: float, y: float) -> None:
        """Move the pointer to a place in the window, in pixels."""
        move = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        self._post("/actions", actions=[{"type": "pointer", "id": "mouse", "actions": [move]}])

    def devtools(self, command: str, **values) -> dict:
        """Run a command of Chromium's own protocol."""
        return self._post("/goog/cdp/execute", cmd=command, params=values)

    def errors(self) -> list[str]:
        """Return what the page's console says at its worst levels since the last call."""
        return [entry["message"] for entry in self._post("/se/log", type="browser") if entry["level"] == "SEVERE"]
