"""A real browser for pages on disk: headless Chromium, without a network."""

import html
import json
import os
import re
import shutil
import subprocess
from functools import cache
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
    """Chromium's path. Where there is none the test is skipped, which with CI=true is a failure."""
    if obstacle := _obstacle():
        sentence = f"no Chromium to open a page in: {obstacle}"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    found = _found()
    assert found is not None
    return found


@cache
def _obstacle() -> str:
    """Why there is none, or ""; Debian's package is installed where it is missing and we may."""
    if _found():
        return ""
    if shutil.which("apt-get") is None:
        return "none is installed, and there is no apt-get to install Debian's"
    if os.geteuid() != 0:
        return "none is installed (as root: apt-get install chromium)"
    _apt("update")
    installed = _apt("install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core")
    return "" if _found() else f"apt-get install chromium failed: {installed.stderr[-500:]}"


def _apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq", *arguments]
    silent = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=silent, capture_output=True, text=True, timeout=600, check=False)


def _found() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


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
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout
