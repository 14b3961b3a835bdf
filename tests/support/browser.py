"""A headless Chromium, driven over its own protocol: what a page does, and what it says on the console."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

Json = dict[str, Any]
_OPTIONS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--remote-debugging-port=0",
    ),
)
_PATIENCE_S: Final = 60


def find_browser() -> str | None:
    """Return the path of Chromium; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Tab:
    """One page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._last = socket, 0
        self.problems: list[str] = []
        """What the page said on the console, and its exceptions."""

    async def call(self, method: str, **parameters: Any) -> Json:
        """Ask the browser, and return its answer."""
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        while True:
            message: Json = await asyncio.wait_for(self._socket.receive_json(), _PATIENCE_S)
            if message.get("method") in (
                "Runtime.consoleAPICalled",
                "Runtime.exceptionThrown",
                "Log.entryAdded",
            ):
                self.problems.append(str(message["params"]))
            if message.get("id") == self._last:
                assert "error" not in message, message
                return message["result"]

    async def run(self, script: str) -> Any:
        """Return what a script makes in the page."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def press(self, key: str, text: str = "") -> None:
        """Press a key."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        common = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        await self.call(
            "Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {})
        )
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def show(self, path: Path, width: int, height: int, *, dark: bool = False) -> None:
        """Open a page in a window of a size."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=path.resolve().as_uri())
        until = time.monotonic() + _PATIENCE_S
        while await self.run("document.readyState + location.href.slice(0, 4)") != "completefile":
            assert time.monotonic() < until
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_tab() -> AsyncGenerator[Tab]:
    """Start a browser with a page of its own; it ends with the block."""
    browser = find_browser()
    assert browser is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [browser, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await _find_port(Path(folder), process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    pages: list[Json] = await answer.json(content_type=None)
                url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    tab = Tab(socket)
                    for domain in ("Page", "Runtime", "Log"):
                        await tab.call(f"{domain}.enable")
                    await tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
                    yield tab
        finally:
            process.terminate()
            process.wait()


async def _find_port(folder: Path, process: "subprocess.Popen[bytes]") -> int:
    said = folder / "DevToolsActivePort"
    until = time.monotonic() + _PATIENCE_S
    while not (said.exists() and said.read_text().strip()):
        assert process.poll() is None, "the browser ended"
        assert time.monotonic() < until, "the browser does not start"
        await asyncio.sleep(0.1)
    return int(said.read_text().split()[0])
