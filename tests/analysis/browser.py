"""A real browser for pages on disk: headless Chromium, without a network."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import cast

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WATCH = """<head><script>
window.faults = [];
addEventListener("error", (event) => faults.push(event.message || `not loaded: ${event.target.outerHTML}`), true);
</script>"""
_TELL = """<script>
addEventListener("load", () => {
  const told = document.createElement("pre");
  told.id = "told";
  let answer = null;
  try { answer = (() => { %s })(); } catch (error) { faults.push(String(error)); }
  told.textContent = JSON.stringify({ faults, answer });
  document.body.append(told);
});
</script></body>"""


def chromium() -> str:
    """Chromium's path. Without one the test fails on the CI machine, which installs it, and is skipped elsewhere."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        sentence = "no Chromium here (Debian: apt-get install chromium), so no page is opened in a browser"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return found


def ask(page: Path, script: str, *, dark: bool = False, width: int = 1280) -> object:
    """Open a page and run the body of a function in it; what it returns comes back as JSON.

    Fails where the page raised an error, or an image or script of it did not load.
    """
    copy = page.with_name(f"asked-{page.name}")
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("<head>", _WATCH, 1).replace("</body>", _TELL % script, 1), encoding="utf-8")
    dom = _run(copy, "--dump-dom", dark=dark, width=width)
    told = re.search(r'<pre id="told">(.*?)</pre>', dom, flags=re.DOTALL)
    assert told is not None, dom[-2000:]
    values = cast("dict[str, object]", json.loads(html.unescape(told.group(1))))
    assert values["faults"] == []
    return values["answer"]


def _run(page: Path, *arguments: str, dark: bool, width: int) -> str:
    command = [
        chromium(),
        "--headless=new",
        "--no-sandbox",  # root has none
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={page.parent / 'chromium'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--window-size={width},1000",
        *arguments,
        page.as_uri(),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout
