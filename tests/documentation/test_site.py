"""The documentation as a site, built as `make docs` builds it, where each warning is an error."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_every_page_of_the_documentation_is_in_the_navigation(site: Path) -> None:
    menu = (site / "index.html").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f'href="{page.stem}.html"' in menu, page.name


def test_commands_options_and_docstrings_are_on_the_site(site: Path) -> None:
    commands = text_of(site / "reference" / "commands.html")
    for words in ("qae table", "qae guard replay", "--markdown"):
        assert words in commands
    options = text_of(site / "reference" / "configuration.html")
    for file in (ROOT / "sweeps" / "conf" / "regularizer").glob("*.yaml"):
        assert file.stem in options
    assert "quantile_definition: inverse_cdf" in options
    assert "outcome_advantages" in text_of(site / "reference" / "api" / "method.html")


def test_a_reader_needs_no_other_server(site: Path) -> None:
    """Styles, scripts, fonts and pictures are the site's own."""
    loaded = re.compile(r'<(?:link|script|img)\b[^>]*\b(?:href|src)="(https?://[^"]+)"')
    for page in site.rglob("*.html"):
        elsewhere = [address for address in loaded.findall(page.read_text()) if "canonical" not in address]
        assert elsewhere == [], page.name


def test_messages_that_the_page_explains_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "faq.md").read_text()
    packages = ("qae", "sweeps", "slurm", "analysis")
    code = "\n".join(path.read_text() for package in packages for path in (ROOT / package).rglob("*.py"))
    messages = re.findall(r"^\| (`{1,2})(.+?)\1 \|", page, flags=re.MULTILINE)
    assert len(messages) > 15
    assert [message for _, message in messages if message not in code] == []
