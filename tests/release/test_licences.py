"""Every locked package has a row with its licence, and none has a licence that nobody has thought about."""

import re
import tomllib
from importlib import metadata

import pytest

from tests import ROOT
from tests.release import licences

ROWS = dict(re.findall(r"^\| ([\w.-]+) \| ([^|]+) \|$", licences.PAGE.read_text(encoding="utf-8"), re.MULTILINE)[1:])
NVIDIA_NAMES = ("nvidia-", "cuda-")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> set[str]:
    return {normal(found.name) for found in metadata.distributions()}


def test_the_page_has_every_locked_package() -> None:
    assert list(ROWS) == licences.locked()


def test_every_direct_dependency_is_on_the_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for name in ("dev", "verl", "train") for line in extras[name])]
    names = {normal(re.split(r"[\[<>=!~ ]", line)[0]) for line in wanted} - {"qae-toolkit"}
    assert len(names) > 30
    assert names <= set(map(normal, ROWS))


@pytest.mark.parametrize("package", sorted(set(map(normal, ROWS)) & installed()))
def test_the_page_states_what_the_metadata_says(package: str) -> None:
    assert {normal(name): licence for name, licence in ROWS.items()}[package] == licences.licence(package)


def test_licences_are_open_but_those_of_nvidia() -> None:
    others = {name: licences.parts(licence) - licences.OPEN for name, licence in ROWS.items()}
    closed = {name: found for name, found in others.items() if found}
    assert set(map(frozenset, closed.values())) == {frozenset({licences.NVIDIA})}
    assert all(name.startswith(NVIDIA_NAMES) for name in closed)
    assert "cuda-toolkit" in closed


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("MIT", {"MIT"}),
        ("Apache-2.0 OR BSD-3-Clause", {"Apache-2.0", "BSD-3-Clause"}),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)", {"MPL-2.0", "Apache-2.0", "GPL-3.0-only"}),
        ("Apache-2.0 WITH LLVM-exception", {"Apache-2.0", "LLVM-exception"}),
    ],
)
def test_an_expression_names_its_parts(expression: str, found: set[str]) -> None:
    assert licences.parts(expression) == found
