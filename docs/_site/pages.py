"""Pages of the site that are no files of `docs/`: the README and its neighbours, and the reference made from the code.

A hook of mkdocs (`mkdocs.yml`); https://www.mkdocs.org/user-guide/configuration/#hooks.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from sweeps.cli import main
from sweeps.composition import tree

ROOT = Path(__file__).parents[2]
CONF = ROOT / "sweeps" / "conf"
# Pages of the repository's root, by their place on the site.
OF_THE_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
# What a reader's own code imports, by page.
API = {
    "method": ("The method", ("qae.advantage", "qae.config", "qae.pass_at_k", "qae.diagnostics", "qae.theory")),
    "trainers": ("Trainers and run directories", ("sweeps.trainers", "qae.run_directory", "qae.metrics")),
    "analysis": ("Analysis", ("analysis.notebook", "analysis.statistics.intervals", "analysis.statistics.differences")),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; their text is made anew at each build."""
    pages = {place: _of_the_root(name) for name, place in OF_THE_ROOT.items()}
    pages["reference/commands.md"] = _commands()
    pages["reference/configuration.md"] = _configuration()
    pages |= {f"reference/api/{name}.md": _api(title, modules) for name, (title, modules) in API.items()}
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    return files


def _of_the_root(name: str) -> str:
    """A page of the repository's root, with links as they are on the site."""
    text = (ROOT / name).read_text().replace("](docs/", "](")
    for other, place in OF_THE_ROOT.items():
        text = text.replace(f"]({other})", f"]({place})")
    return re.sub(r"\[([^]]+)\]\((?![\w/]+\.(?:md|png))[\w/.]+\)", r"\1", text)  # files that are no pages


def _commands() -> str:
    return "\n".join(["# Commands of qae", "What each command says to `--help`.\n", *_helps(main, "qae")])


def _helps(command: click.Command, name: str) -> Iterator[str]:
    """The help of a command and of those below it."""
    context = click.Context(command, info_name=name, terminal_width=100)
    yield f"## {name}\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None  # noqa: S101  # it was listed
            yield from _helps(found, f"{name} {below}")


def _configuration() -> str:
    groups = sorted({path.parent for path in CONF.rglob("*.yaml")} - {CONF})
    tables = (f"## {group.relative_to(CONF)}\n{''.join(_options(group))}" for group in groups)
    tree = f"## The tree\n```yaml\n{(CONF / 'config.yaml').read_text().strip()}\n```\n"
    intro = "Options of each group of the configuration (`group=option`), and the tree with its defaults.\n"
    return "\n".join(["# The configuration", intro, *tables, tree])


def _options(group: Path) -> Iterator[str]:
    yield "| option | what its file says | sets |\n|---|---|---|\n"
    for path in sorted(group.glob("*.yaml")):
        text = path.read_text()
        said = " ".join(line.lstrip("# ") for line in _first_comments(text))
        sets = ", ".join(f"`{key}`" for key in _sets(tree.written(path)))
        yield f"| `{path.stem}` | {_cell(said)} | {sets} |\n"


def _sets(content: Mapping[str, object]) -> list[str]:
    """The keys that a file sets, below the section that all of them are in."""
    own = {key: value for key, value in content.items() if key not in ("defaults", "labels")}
    if len(own) == 1:
        [(section, inner)] = own.items()
        if isinstance(inner, Mapping) and inner:
            return [f"{section}.{key}" for key in _sets(inner)]
    return [key for key, value in own.items() if value != {}]


def _first_comments(text: str) -> Iterator[str]:
    """Comments at the top of a file, without Hydra's own."""
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        if not line.startswith("# @package"):
            yield line


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _api(title: str, modules: tuple[str, ...]) -> str:
    return "\n\n".join([f"# {title}", *(f"::: {module}" for module in modules)]) + "\n"
