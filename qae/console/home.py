"""A user without a home or a name, as containers and clusters have them: caches cost nothing but themselves."""

import getpass
import os
import tempfile
from pathlib import Path


def settle() -> None:
    """Give this process and its children a home and a name where the user has none.

    W&B's client, matplotlib, torch and the hub's client keep settings and caches in a home, and some name their files
    by the user; without either they end in an exception, or say at each start that they make do.
    """
    home = os.path.expanduser("~")  # noqa: PTH111  # `Path.home` raises where there is none
    if not home.startswith("/") or home == "/":  # what an empty HOME comes to
        os.environ["HOME"] = str(_own_folder())
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user-{os.getuid()}"


def _own_folder() -> Path:
    """A folder that lasts and is this user's alone; another one each time where somebody else has taken its name."""
    path = Path(tempfile.gettempdir()) / f"qae-home-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_uid == os.getuid() and not path.is_symlink():
            return path
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="qae-home-"))
