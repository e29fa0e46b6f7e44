"""The documentation names files, commands, options and packages that exist."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from qae.metrics import METRICS
from tests import ROOT

pytestmark = pytest.mark.long

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CONF = ROOT / "sweeps" / "conf"
# A path in backticks: has a folder or a suffix that our files have, and no space, wildcard or placeholder.
_PATH = re.compile(r"^\.?[\w.-]+(/[\w.+-]+)*/?$")
_SUFFIXES = {".py", ".md", ".yaml", ".toml", ".lock", ".png"}
# What runs write; described in the documentation, not in the repository.
_WRITTEN_BY_RUNS = ("runs", "config.yaml", "outputs", "experiment.yaml")


def _text_without_blocks(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def _links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://", "mailto:", "#")):
            yield target.split("#")[0]


def _named_files(page: Path) -> Iterator[str]:
    for word in re.findall(r"`([^`\n]+)`", _text_without_blocks(page)):
        is_ours = word.split("/")[0] in TOP_LEVEL if "/" in word else Path(word).suffix in _SUFFIXES
        if _PATH.match(word) and is_ours and not word.startswith(_WRITTEN_BY_RUNS) and word not in METRICS:
            yield word


def _tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return {line.split("/")[0] for line in listed.splitlines()}


TOP_LEVEL = _tracked() or {path.name for path in ROOT.iterdir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    missing = [target for target in _links(page) if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_file_exists(page: Path) -> None:
    names = {path.name for path in ROOT.rglob("*") if ".venv" not in path.parts and "runs" not in path.parts}
    missing = [name for name in _named_files(page) if not (ROOT / name).exists() and ("/" in name or name not in names)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_option_exists(page: Path) -> None:
    """Options such as `regularizer=gspo` and `+experiment=reward_noise`, wherever they are written."""
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    for group, options in re.findall(r"(?<![\w.])\+?(\w+)=([\w.,-]+\w)", page.read_text()):
        if group in groups:
            for option in options.split(","):
                file = f"{group}/{option}.yaml"  # the toolkit's, or in a folder that the page itself shows
                shown = re.search(rf"/{re.escape(file)}\s", page.read_text())
                assert (CONF / file).exists() or shown, f"{group}={option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^ +)make ([a-z][a-z-]*)", page.read_text(), flags=re.MULTILINE)) <= targets


def _declared(*, of_development: bool) -> list[str]:
    """Names of the direct dependencies, those of the extras that people install among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    developers = ("dev", "install")
    wanted = [
        *project["dependencies"],
        *(each for extra in extras if extra not in developers for each in extras[extra]),
    ]
    wanted += [each for extra in developers for each in extras[extra]] if of_development else []
    return [re.split(r"[<>=~!\[ ]", each)[0] for each in wanted if not each.startswith("qae-toolkit")]


def test_a_page_gives_a_reason_for_every_direct_dependency() -> None:
    table = (ROOT / "docs" / "dependencies.md").read_text()
    for name in _declared(of_development=True):
        is_stub = name.startswith("types-") or name.endswith("-stubs")
        word = "stubs" if is_stub else re.escape(name)
        assert re.search(rf"(?<![\w-]){word}(?![\w-])", table), f"{name} is not in docs/dependencies.md"


@pytest.mark.slow
def test_no_dependency_is_unused() -> None:
    """Every direct dependency is imported by code of ours, or by verl, which does not declare it."""
    modules = {
        "fonttools": "fontTools",
        "hydra-core": "hydra",
        "pyyaml": "yaml",
        "pyzmq": "zmq",
        "TransferQueue": "transfer_queue",
        "wandb-workspaces": "wandb_workspaces",
    }
    started = {"ipykernel", "cmaes"}  # by nbclient, by its name; by Optuna's sampler
    started |= {"mkdocs-material", "mkdocstrings"}  # by mkdocs, by their names in mkdocs.yml
    verl = find_spec("verl")
    assert verl is not None
    assert verl.origin is not None
    ours = ("qae", "sweeps", "slurm", "analysis", "hydra_plugins", "notebooks", "benchmarks", "docs/_site")
    folders = [*(ROOT / package for package in ours), Path(verl.origin).parent]
    code = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    for name in set(_declared(of_development=False)) - started:
        module = modules.get(name, name)
        assert re.search(rf"^\s*(import|from) {module}\b", code, flags=re.MULTILINE), f"nothing imports {module}"
