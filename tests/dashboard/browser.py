"""A headless Chromium that a test controls over a pipe, by the DevTools protocol."""

import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
INSTALL = "needs Chromium: sudo apt-get update && sudo apt-get install -y chromium"
WITHIN = 240  # seconds for one step on a busy machine
TO_BROWSER, FROM_BROWSER = 3, 4  # descriptors, as Chromium expects them
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--remote-debugging-pipe"),
)


class ScriptError(Exception):
    """A script threw an exception."""


class Browser:
    def __init__(self, folder: Path) -> None:
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        command = [CHROMIUM or "chromium", *QUIET, f"--user-data-dir={folder}", "about:blank"]
        # The shell moves both descriptors to the numbers that Chromium reads and writes.
        moved = f'exec "$@" {TO_BROWSER}<&{to_browser} {FROM_BROWSER}>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", moved, "bash", *command],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
        )
        os.close(to_browser)
        os.close(from_browser)
        self._received, self._number = b"", 0
        self.events: list[dict[str, Any]] = []

    def close(self) -> None:
        try:
            self.ask("Browser.close")
            self._process.wait(WITHIN)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._to)
            os.close(self._from)

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._message()).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            raise ScriptError(f"{method}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _message(self) -> dict[str, Any]:
        until = time.monotonic() + WITHIN
        while b"\0" not in self._received:
            if not select.select([self._from], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            part = os.read(self._from, 1 << 20)
            if not part:
                raise ConnectionError("Chromium ended")
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


class Page:
    """One tab, with storage of its own."""

    def __init__(self, browser: Browser, width: int = 1280, height: int = 800) -> None:
        self._browser = browser
        self._context = browser.ask("Target.createBrowserContext")["browserContextId"]
        made = browser.ask("Target.createTarget", url="about:blank", browserContextId=self._context)
        attached = browser.ask("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        self._forgiven: tuple[str, ...] = ()
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Performance"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.ask(method, self._session, **parameters)

    def close(self) -> None:
        self._browser.ask("Target.disposeBrowserContext", browserContextId=self._context)

    def open(self, url: str) -> None:
        self.ask("Page.navigate", url=url)

    def script(self, text: str) -> Any:
        """The value of an expression, or of the promise that it is."""
        said = self.ask("Runtime.evaluate", expression=text, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in said:
            raise ScriptError(said["exceptionDetails"]["exception"].get("description", "?"))
        return said["result"].get("value")

    def wait(self, text: str) -> Any:
        """Until the expression is true; its value."""
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            try:
                if value := self.script(text):
                    return value
            except ScriptError:  # the document changes
                pass
            time.sleep(0.05)
        raise TimeoutError(f"never true: {text}; the page: {self.script('document.body.innerText')}")

    def text(self, selector: str = "body") -> str:
        return str(self.script(f"document.querySelector({json.dumps(selector)}).innerText"))

    def wait_text(self, part: str, selector: str = "body") -> None:
        self.wait(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(part)})")

    def click(self, selector: str) -> None:
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        self.script(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, *keys: str) -> None:
        for key in keys:
            text = {"Enter": "\r", "Space": " "}.get(key, key if len(key) == 1 else "")
            name = " " if key == "Space" else key
            self.ask("Input.dispatchKeyEvent", type="keyDown", key=name, code=key, text=text)
            self.ask("Input.dispatchKeyEvent", type="keyUp", key=name, code=key)

    def type(self, text: str) -> None:
        self.ask("Input.insertText", text=text)

    def theme(self, name: str) -> None:
        """What the system prefers: "light" or "dark"."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, path: Path) -> None:
        path.write_bytes(b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def forgive(self, *parts: str) -> None:
        """What a test causes on purpose: messages with one of these parts are no complaints."""
        self._forgiven += parts

    def complaints(self) -> list[str]:
        """Errors in the console, violations of the policy, exceptions: what must not happen."""
        found = []
        for event in self._own():
            parameters = event["params"]
            if event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"])
            elif event["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.append(str(parameters["args"]))
        return [one for one in found if not any(part in one for part in self._forgiven)]

    def requests(self) -> list[str]:
        """The URLs of all requests."""
        return [one["params"]["request"]["url"] for one in self._own() if one["method"] == "Network.requestWillBeSent"]

    def _own(self) -> list[dict[str, Any]]:
        self.script("0")  # receives what waits
        events = self._browser.events
        return [one for one in events if one.get("sessionId") == self._session and "method" in one]
