"""The toolkit's own code: where it lies and which commit it is."""

import subprocess
from pathlib import Path

CODE = Path(__file__).parents[2]
_LONGEST_DIFF = 1_000_000


def commit(folder: Path = CODE) -> str | None:
    """The checked-out commit; None outside a git checkout."""
    return git(folder, "rev-parse", "HEAD")


def diff(folder: Path = CODE) -> str | None:
    """Uncommitted changes of tracked files; None where there are none, or no git."""
    text = git(folder, "diff", "HEAD")
    if not text:
        return None
    return text[:_LONGEST_DIFF].encode(errors="surrogateescape").decode(errors="replace")  # files may be no UTF-8


def git(folder: Path, *arguments: str) -> str | None:
    """What a git command prints, bytes that are no UTF-8 as surrogates; None where it fails."""
    try:
        result = subprocess.run(  # noqa: S603  # fixed arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
