"""A page in a real browser: Chromium, without a window."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from sessions import PATIENCE

__all__ = ["CHROMIUM", "Shown", "shown"]

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser, None where there is none."""


_AT_ONCE: Final = "window.requestAnimationFrame = (draw) => draw(0);"
"""A browser without a window may see no need to draw."""


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
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        text = page.read_text("utf-8").replace("<head>", f"<head><script>{_AT_ONCE}</script>", 1)
        copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
        command += [f"--user-data-dir={folder}/profile", f"--window-size={width},900"]
        command += ["--proxy-server=127.0.0.1:9", "--dump-dom", copy.as_uri()]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
            env={**os.environ, "HOME": folder},
        )
    ready = re.search(r'data-ready="(\d+)"', done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Shown(done.stdout, console, int(ready[1]) if ready else -1)
