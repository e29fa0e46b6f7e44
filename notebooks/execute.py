"""Execute notebooks: python -m notebooks.execute [NAME…] [--out FOLDER]; writes NAME.ipynb with its outputs.

Git holds the text (percent format) alone. Paired .ipynb files that Jupyter writes beside it are ignored.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
_SECONDS_A_CELL = 120


class NotebookError(RuntimeError):
    """A cell failed or took too long; the text is the notebook and the error."""


def names() -> list[str]:
    """All notebooks, in order."""
    return sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))


def execute(name: str, environment: Mapping[str, str] | None = None) -> NotebookNode:
    """Run a notebook in a kernel of its own, with its folder as the place, as Jupyter does.

    Args:
        name: one of `names`.
        environment: variables that the kernel has besides ours, such as QAE_SOURCE.

    Raises:
        NotebookError: a cell failed.
    """
    notebook = jupytext.read(FOLDER / f"{name}.py")
    client = NotebookClient(
        notebook,
        timeout=_SECONDS_A_CELL,
        kernel_name="python3",
        # A kernel warns of its messages in plain text; they do not leave this machine.
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(FOLDER)}},
    )
    try:
        return client.execute(env={**os.environ, **(environment or {})})
    except (CellExecutionError, CellTimeoutError) as error:
        raise NotebookError(f"{name}: {error}") from error


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook with its outputs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute the named notebooks, or all; the exit status is 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())} (default: all)")
    parser.add_argument("--out", type=Path, default=FOLDER / "executed", help="folder for the .ipynb files")
    chosen = parser.parse_args(arguments)
    for name in chosen.names:
        if name not in names():
            parser.error(f"there is no notebook '{name}'; there are: {', '.join(names())}")
    failed = 0
    for name in chosen.names or names():
        started = time.monotonic()
        try:
            write(execute(name), chosen.out / f"{name}.ipynb")
        except NotebookError as error:
            failed += 1
            print(error, file=sys.stderr)
            continue
        print(f"{chosen.out / name}.ipynb ({time.monotonic() - started:.0f} s)", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
