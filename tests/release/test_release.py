"""One version everywhere, and a citation that names the toolkit and the paper."""

import re
import tomllib
from datetime import date
from typing import Any

import yaml
from packaging.version import Version

from qae.files import layout
from tests import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def newest_release() -> tuple[str, str]:
    """Version and date of the first section of the changelog."""
    found = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert found is not None
    return found[1], found[2]


def test_project_changelog_and_citation_have_one_version_and_one_date() -> None:
    version, day = newest_release()
    assert version == PROJECT["version"] == CITATION["version"]
    released = CITATION["date-released"]
    assert isinstance(released, date)
    assert day == f"{released.day} {released:%B %Y}"


def test_layouts_are_those_of_releases_so_far() -> None:
    versions = [Version(release) for _, release in sorted(layout.RELEASES.items())]
    assert versions == sorted(set(versions))
    assert versions[-1] <= Version(PROJECT["version"])


def test_the_page_on_upgrades_has_every_layout() -> None:
    page = (ROOT / "docs" / "upgrade.md").read_text()
    for version, release in layout.RELEASES.items():
        assert f"\n| {version} | {release} |" in page


def test_the_citation_has_what_its_format_asks_for() -> None:
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert CITATION["license"] == PROJECT["license"]
    for work in (CITATION, *CITATION["references"]):
        assert isinstance(work["title"], str)
        for author in work["authors"]:
            assert {"name"} == set(author) or {"family-names", "given-names"} == set(author)
    assert isinstance(CITATION["message"], str)


def test_the_citation_refers_to_the_paper() -> None:
    (paper,) = CITATION["references"]
    assert paper["url"].endswith("/2509.22611")
    assert paper["authors"][0] == {"family-names": "Wu", "given-names": "Junkang"}
    assert (paper["type"], paper["year"]) == ("article", 2025)
