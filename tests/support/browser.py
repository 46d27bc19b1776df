"""A headless Chromium, driven through a pipe: the DevTools protocol, messages of JSON that end with a zero byte."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next(filter(None, map(shutil.which, NAMES)), None)
#: Seconds that an answer may take.
PATIENCE = 60.0
#: What a key is called -> its code.
CODES = {"Tab": 9, "Enter": 13, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}
CODES |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """One page of a browser of its own; `messages` are those of its console, `requests` what it asked for.

    Parameters
    ----------
    folder : path
        For its profile.
    """

    def __init__(self, folder: Path) -> None:
        assert FOUND
        there, self._write = os.pipe()
        self._read, back = os.pipe()
        # The browser's ends are its descriptors 3 and 4, as the flag has it.
        command = [FOUND, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]  # fmt: skip
        shell = f'exec 3<&{there} 4>&{back}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command], pass_fds=(there, back), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(there)
        os.close(back)
        self._rest, self._number, self.events = b"", 0, []
        self._session = ""
        page = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the browser's answer; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while (found := self._next(end)).get("id") != self._number:
            self.events.append(found)
        if "error" in found:
            raise RuntimeError(f"{method}: {found['error']}")
        return found["result"]

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser is silent")
            if not (more := os.read(self._read, 1 << 20)):
                raise RuntimeError("the browser has gone")
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def open(self, path: Path, width: int = 1440, height: int = 900, scheme: str = "light") -> float:
        """Open a file and return the seconds until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        start = time.monotonic()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.seen("Page.loadEventFired"):
            self.events.append(self._next(start + PATIENCE))
        return time.monotonic() - start

    def seen(self, method: str) -> list[dict[str, Any]]:
        """Return what events of a kind said."""
        return [event["params"] for event in self.events if event.get("method") == method]

    @property
    def messages(self) -> list[Any]:
        """What the console shows, errors too."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [found for kind in kinds for found in self.seen(kind)]

    @property
    def requests(self) -> list[str]:
        """What was asked for beside the file itself and what it holds."""
        asked = [found["request"]["url"] for found in self.seen("Network.requestWillBeSent")]
        return [url for url in asked[1:] if not url.startswith("data:")]

    def run(self, code: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def press(self, key: str, count: int = 1) -> None:
        """Press a key, as a keyboard would."""
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        code = CODES.get(key, ord(key[0].upper()))
        for _ in range(count):
            for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
                more = {"text": text} if text and kind == "keyDown" else {}
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """End the browser, so that it clears its own files away."""
        with suppress(RuntimeError, TimeoutError, OSError):
            self.call("Browser.close")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        for end in (self._write, self._read):
            os.close(end)
        self._process.terminate()
        self._process.wait(20)
