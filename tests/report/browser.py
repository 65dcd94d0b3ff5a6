"""A headless Chromium for tests, spoken to through its DevTools protocol over a pipe: no driver and no socket needed."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip
# The protocol is spoken on descriptors 3 and 4; a process of many threads cannot place them between fork and exec.
PLACE = """import os, sys
for place, there in enumerate([os.dup(int(n)) for n in sys.argv[1:3]], start=3):
    os.dup2(there, place)
    os.set_inheritable(place, True)
os.execv(sys.argv[3], sys.argv[3:])"""
PATIENCE = 60  # seconds for any one answer

Message = dict[str, Any]


class Browser:
    """One Chromium with one tab. `events` holds what it has told since the last `open`."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        start = [sys.executable, "-c", PLACE, str(theirs_in), str(theirs_out)]
        self._process = subprocess.Popen(
            [*start, PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest, self._number, self._session = b"", 0, ""
        self.events: list[Message] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def open(self, address: str, width: int) -> None:
        """Load a page in a view of so many CSS pixels, as on a telephone, and wait until it is loaded."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.events.clear()
        self.ask("Page.navigate", url=address)
        self._read(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events))

    def value(self, expression: str) -> Any:
        """What an expression gives in the page; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "an exception"))
        return answer["result"].get("value")

    def prefer(self, media: str = "", **features: str) -> None:
        """Show pages as on this medium ("print") and for these preferences (prefers_color_scheme="dark")."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", media=media, features=wanted)

    def mouse(self, *moves: tuple[str, float, float], clicks: int = 1) -> None:
        """Mouse events by their kind (Moved, Pressed, Released) and place, and the drawing that follows."""
        for kind, x, y in moves:
            left: Message = {} if kind == "Moved" else {"button": "left", "clickCount": clicks}
            self.ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **left)
        self.settle()

    def press(self, *keys: str) -> None:
        """Keys by their names, one after the other, and the drawing that follows."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            for kind in ("keyDown", "keyUp"):
                self.ask("Input.dispatchKeyEvent", type=kind, key=key, **text)
        self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def told(self, *methods: str) -> list[Message]:
        """The events of these kinds since the last `open`."""
        return [event["params"] for event in self.events if event["method"] in methods]

    def ask(self, method: str, **parameters: Any) -> Message:
        """One command and its answer."""
        self._number += 1
        message: Message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answers: list[Message] = []
        self._read(lambda: bool(answers), answers)
        if "error" in answers[0]:
            raise RuntimeError(f"{method}: {answers[0]['error']}")
        result: Message = answers[0]["result"]
        return result

    def _read(self, done: Callable[[], bool], answers: list[Message] | None = None) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._in, 1 << 16) if ready else b""
            if not data:
                raise TimeoutError("the browser does not answer" if not ready else "the browser has ended")
            *whole, self._rest = (self._rest + data).split(b"\0")
            for text in whole:
                message = json.loads(text)
                if "method" in message:
                    self.events.append(message)
                elif answers is not None and message.get("id") == self._number:
                    answers.append(message)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._out)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
