"""What the user's environment says to W&B's client, read as the client reads it and without importing the client.

The client reads settings files first, ``WANDB_`` variables over them, and what a program passes to it over both
(wandb 0.31, sdk/wandb_settings.py). In doubt nothing leaves the machine: a value that the client would refuse counts as
offline. ``WANDB_DISABLED`` is read as transformers reads it.
"""

import configparser
import netrc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

Mode = Literal["online", "offline", "disabled"]
# From the most private to the least.
MODES: tuple[Mode, ...] = ("disabled", "offline", "online")
PUBLIC_SERVER = "https://api.wandb.ai"

_MEANINGS: Mapping[str, Mode] = {
    **{mode: mode for mode in get_args(Mode)},
    "dryrun": "offline",
    "run": "online",
    "shared": "online",
}
_NO = frozenset({"", "0", "false", "no", "off", "f", "n"})
_SECTION = "default"  # of a settings file; the client knows no other


@dataclass(frozen=True)
class Switch:
    """A mode that the environment asks for.

    Attributes:
        mode: what it comes to.
        source: what asks for it, such as ``WANDB_MODE=dryrun``.
    """

    mode: Mode
    source: str


def switch() -> Switch | None:
    """The mode that the environment asks for; None where it leaves the choice open."""
    disabled = os.environ.get("WANDB_DISABLED", "").strip()
    if disabled.lower() not in _NO:
        return Switch("disabled", f"WANDB_DISABLED={disabled}")
    if word := _variable("mode"):
        return _switch(word, f"WANDB_MODE={word}")
    for path, settings in _settings_files():
        if word := settings.get("mode", "").strip():
            return _switch(word, f"mode={word} in {path}")
    return None


def mode_of(word: object) -> Mode:
    """The mode of that name; offline, which sends nothing anywhere, where there is none."""
    return next((mode for mode in MODES if mode == word), "offline")


def more_private(first: Mode, second: Mode) -> Mode:
    """The one of two modes that gives away less."""
    return MODES[min(MODES.index(first), MODES.index(second))]


def setting(name: str) -> str | None:
    """A setting of the client, such as ``project``: from its variable, else from the settings files."""
    if value := _variable(name):
        return value
    found = (settings.get(name, "").strip() for _, settings in _settings_files())
    return next(filter(None, found), None)


def server() -> str:
    """The address of the server that the client talks to."""
    return setting("base_url") or PUBLIC_SERVER


def has_key() -> bool:
    """Whether the client finds a key: in a variable, in the file that one names, or in netrc."""
    return any(map(_variable, ("api_key", "identity_token_file"))) or _key_in_netrc()


def make_acceptable() -> list[str]:
    """Make this process's environment one that the client can be started in.

    The client refuses to start, even offline, where a ``WANDB_`` variable holds what it does not expect; such variables
    are taken out. Its crash reports go to its maker, so they are off where the user has not said otherwise.

    Returns:
        names of variables that were taken out as the client refuses them, but for the mode, which its callers give.
        Where one names the server or the project, what is sent would go elsewhere than the user wanted.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    refused = []
    for name, value in list(os.environ.items()):
        if not name.startswith("WANDB_"):
            continue
        try:
            wandb.Settings().update_from_env_vars({name: value})
            if value.strip():
                continue
        except Exception:  # the client's validators raise several kinds
            if value.strip() and name != "WANDB_MODE":
                refused.append(name)
        del os.environ[name]
    return refused


def _switch(word: str, source: str) -> Switch:
    mode = _MEANINGS.get(word.lower())
    return Switch("offline", f"{source}, which is no mode of W&B") if mode is None else Switch(mode, source)


def _variable(name: str) -> str:
    return os.environ.get(f"WANDB_{name.upper()}", "").strip()


def _settings_files() -> list[tuple[Path, Mapping[str, str]]]:
    """The settings of the working directory, which `wandb offline` writes, and the user's; the first ones win."""
    here = Path(os.environ.get("WANDB_DIR") or ".")
    local = here / (".wandb" if (here / ".wandb").exists() else "wandb") / "settings"
    user = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb") / "settings"
    paths = [Path(os.path.expanduser(path)) for path in (local, user)]  # noqa: PTH111  # raises where there is no home
    return [(path, settings) for path in paths if (settings := _read(path))]


def _read(path: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path)
        return dict(parser.items(_SECTION))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}


def _key_in_netrc() -> bool:
    try:
        found = netrc.netrc(_netrc_file()).authenticators(urlsplit(server()).netloc)
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
        return False
    return found is not None


def _netrc_file() -> str | None:
    if named := os.environ.get("NETRC"):
        return os.path.expanduser(named)  # noqa: PTH111  # as above
    return None
