"""A page in a real browser: Chromium, without a window."""

import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from sessions import PATIENCE

__all__ = ["Shown", "missing", "shown"]

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_OPTIONS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
)


_AT_ONCE: Final = "window.requestAnimationFrame = (draw) => draw(0);"
"""A browser without a window may see no need to draw."""


@cache
def missing() -> str:
    """Why no page can be looked at here, empty where it can."""
    if CHROMIUM is None:
        return "Chromium is not installed"
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = _dump("about:blank", folder)
        except (OSError, subprocess.SubprocessError) as error:
            return f"Chromium does not run here: {error}"
    return "" if "<html" in done.stdout else f"Chromium shows nothing here: {done.stderr[-500:]}"


def _dump(address: str, folder: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Have the browser print a page's document, with its profile in a folder."""
    assert CHROMIUM is not None
    return subprocess.run(
        [CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}/profile", *options, "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env={**os.environ, "HOME": folder},
    )


class Shown(NamedTuple):
    """What came of a page."""

    document: str
    """The document when its scripts had run."""
    console: list[str]
    """What the browser said on its console: errors, mostly."""
    ready: int
    """Milliseconds from its start until the page could be used, -1: never."""


def shown(page: Path, script: str = "", width: int = 1200) -> Shown:
    """Open a page, and then run a script in it; what it draws is drawn at once. It has no network."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        text = page.read_text("utf-8").replace("<head>", f"<head><script>{_AT_ONCE}</script>", 1)
        copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
        done = _dump(copy.as_uri(), folder, f"--window-size={width},900", "--proxy-server=127.0.0.1:9")
    ready = re.search(r'data-ready="(\d+)"', done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Shown(done.stdout, console, int(ready[1]) if ready else -1)
