"""The version of a run directory's layout: how a directory says its own, and which ones this toolkit reads.

A layout gets a new number where an earlier toolkit would misread the directory or lose something of it. What each
number changed is in docs/upgrade.md. The number is no part of a run's id.
"""

from pathlib import Path
from types import MappingProxyType

import orjson

from qae.checks import is_whole

FILE = "layout.json"
# The release of the toolkit that wrote each layout first; directories of layout 1 do not say theirs.
RELEASES = MappingProxyType({1: "0.1.0", 2: "0.2.0"})
_UNMARKED = 1
CURRENT = max(RELEASES)
MARK = orjson.dumps({"version": CURRENT, "since": RELEASES[CURRENT]})


class LayoutError(ValueError):
    """A run directory whose layout this toolkit does not know; its text is one sentence for the user."""


def read(folder: Path) -> int:
    """The layout of a run directory.

    Args:
        folder: the run directory.

    Raises:
        LayoutError: it is newer than this toolkit, or its file says none.
        OSError: the file cannot be read.
    """
    path = folder / FILE
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return _UNMARKED
    except orjson.JSONDecodeError:
        content = None
    version = content.get("version") if isinstance(content, dict) else None
    if not is_whole(version) or version < 1:
        raise LayoutError(f"{path} does not say which layout {folder} has; put the file back from a copy")
    if version > CURRENT:
        since = content.get("since")
        reader = f"toolkit {since}" if isinstance(since, str) and since.isprintable() else "the toolkit that wrote it"
        raise LayoutError(
            f"{folder} has layout {version}, and this toolkit reads layouts up to {CURRENT}; "
            f"use {reader} or a later one, or name other runs"
        )
    return version
