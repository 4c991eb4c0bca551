"""Starts the scripts as processes of their own, from an interpreter that has imported torch and the like already.

An import of torch and torchvision takes three seconds of a core, and the tests start scripts by the hundred. So one
server per test process imports the installed packages, nothing of the toolkit, and forks: each script runs in a new
process, as `__main__`, with its own arguments, folder, environment and streams, and ends as any interpreter does.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import secrets
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PACKAGES = ("torch", "torchvision.models.detection", "albumentations", "matplotlib.figure", "pycocotools.coco", "av")
# What the interpreter or a package reads while it starts: where a test sets it, the script gets a new interpreter.
AT_START = ("PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LANG", "MPLBACKEND", "MPLCONFIGDIR", "PATH", "PYTHONPATH")
LONGEST = 1 << 20  # bytes of a request
_servers: dict[int, tuple[subprocess.Popen, str]] = {}  # by the process that started it


def run(command: Sequence, *, cwd: Path, env: dict | None = None, timeout: float = 300, both: bool = False):
    """As subprocess.run with captured text; `both` puts standard error into the output."""
    process = start(command, cwd=cwd, env=env, both=both)
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        process.kill()
        raise
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def start(command: Sequence, *, cwd: Path, env: dict | None = None, both: bool = False):
    """As subprocess.Popen with pipes of text; `command` is [sys.executable, a script, arguments...]."""
    env = dict(os.environ if env is None else env)
    command = [str(word) for word in command]
    warm = sys.platform == "linux" and command[0] == sys.executable and command[1].endswith(".py")
    if not warm or any(env.get(key) != os.environ.get(key) for key in AT_START):
        stderr = subprocess.STDOUT if both else subprocess.PIPE
        return subprocess.Popen(
            command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
        )
    return Forked(command, cwd, env, both)


class Forked:
    """A script's process, with what the tests use of subprocess.Popen."""

    def __init__(self, command: list[str], cwd: Path, env: dict, both: bool):
        self.returncode: int | None = None
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(f"\0{_server_path()}")
        out, out_end = os.pipe()
        err, err_end = (None, out_end) if both else os.pipe()
        request = json.dumps({"command": command[1:], "cwd": str(cwd), "env": env}).encode()
        socket.send_fds(self._server, [request], [out_end, err_end])
        for end in {out_end, err_end}:
            os.close(end)
        self.stdout = os.fdopen(out, encoding="utf-8", errors="replace")
        self.stderr = os.fdopen(err, encoding="utf-8", errors="replace") if err is not None else None
        self.pid = int(self._server.recv(64))

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired("script", timeout)
        return self.returncode

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._server], [], [], timeout)[0]:
            self.returncode = os.waitstatus_to_exitcode(int(self._server.recv(64)))
            self._server.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str | None]:
        deadline = None if timeout is None else time.monotonic() + timeout
        read: dict = {self.stdout: [], self.stderr: []}
        with selectors.DefaultSelector() as waiting:
            for stream in read:
                if stream is not None and not stream.closed:
                    waiting.register(stream, selectors.EVENT_READ)
            while waiting.get_map():
                left = None if deadline is None else deadline - time.monotonic()
                ready = waiting.select(left)
                if not ready:
                    raise subprocess.TimeoutExpired("script", timeout)
                for key, _ in ready:
                    data = os.read(key.fd, 1 << 16)
                    read[key.fileobj].append(data)
                    if not data:
                        waiting.unregister(key.fileobj)
                        key.fileobj.close()
        self.wait(None if deadline is None else max(1.0, deadline - time.monotonic()))
        out, err = (b"".join(parts).decode(errors="replace").replace("\r\n", "\n") for parts in read.values())
        return out, err if self.stderr is not None else None


def _server_path() -> str:
    """The address of this process's server, which is started where there is none yet."""
    if os.getpid() not in _servers:
        path = f"tests-{os.getpid()}-{secrets.token_hex(4)}"  # of Linux's own name space, not of the file system
        server = subprocess.Popen(
            [sys.executable, __file__, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert server.stdout.readline() == b"ready\n"
        atexit.register(server.kill)
        _servers[os.getpid()] = server, path
    return _servers[os.getpid()][1]


def _serve(path: str) -> None:
    """Fork a process per request; returns in the new process alone. Ends when standard input does."""
    before = dict(os.environ)
    for name in PACKAGES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that no collection in a script looks through, and thereby copies, what is shared
    added = {key: value for key, value in os.environ.items() if before.get(key) != value}
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{path}")
        listening.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listening, wake, 0], [], [])
            if 0 in ready:
                os._exit(0)
            if wake in ready:
                os.read(wake, 4096)
                _tell_of_the_ended(running)
            if listening in ready:
                asking, _ = listening.accept()
                message, streams, _, _ = socket.recv_fds(asking, LONGEST, 2)
                pid = os.fork()
                if pid == 0:
                    _become(json.loads(message), streams, added)
                    for descriptor in (wake, waker, *streams, asking.detach(), *(s.detach() for s in running.values())):
                        os.close(descriptor)
                    return
                for descriptor in streams:
                    os.close(descriptor)
                asking.sendall(str(pid).encode())
                running[pid] = asking


def _tell_of_the_ended(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with contextlib.suppress(OSError), running.pop(pid) as asking:
            asking.sendall(str(status).encode())


def _become(request: dict, streams: list[int], added: dict) -> None:
    """Make this process what a new interpreter with that command would be."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, stream in zip((1, 2), streams, strict=True):
        os.dup2(stream, number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(added | request["env"])
    sys.argv[:] = request["command"]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(write_through=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
    runpy.run_path(sys.argv[0], run_name="__main__")
