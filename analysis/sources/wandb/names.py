r"""What a text means on W&B: a project, the runs of it that an address picks out, or nothing.

Rules of the client: a project's name has at most 128 characters and none of ``/ \ # ? % :``
(wandb/sdk/wandb_settings.py ``validate_project``, artifacts/_validators.py ``INVALID_URL_CHARS``); spaces, dots and
letters of any script are legal. Paths are those of the client's ``Api``, addresses those of W&B's web pages.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from qae.console.text import brief
from qae.tracking.wandb_limits import FORBIDDEN, PROJECT_LETTERS

SCHEME = "wandb://"
FORMS = "entity/project, entity/project/run-id, wandb://project, or the address of a project in a browser"

_ILLEGAL = re.compile(rf"[{re.escape(FORBIDDEN)}\x00-\x1f\x7f]")
_HOSTS = re.compile(r"(?:[\w-]+\.)*wandb\.(?:ai|io|com)", re.IGNORECASE)
# What an address names beside a project, and W&B's filter for it.
_PARTS = {"runs": "name", "groups": "group", "sweeps": "sweep"}
_PAGES = (
    "workspace",
    "table",
    "runs",
    "groups",
    "sweeps",
    "overview",
    "artifacts",
    "jobs",
    "launch",
    "automations",
    "weave",
)


class NotAProjectError(ValueError):
    """The text names no project of W&B; its text is a sentence that says why."""


@dataclass(frozen=True)
class Project:
    """A project on W&B.

    Attributes:
        entity: its user or team; None: the one that the key belongs to.
        name: of the project.
        filters: which of its runs are meant, in W&B's form; all where it is empty.
    """

    entity: str | None
    name: str
    filters: Mapping[str, object] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """As the client takes it."""
        return f"{self.entity}/{self.name}" if self.entity else self.name

    def __str__(self) -> str:
        picked = "".join(f"/{value}" for value in self.filters.values())
        return self.path + picked


def parse(text: str) -> Project:
    """The project that a text names.

    Args:
        text: ``entity/project``, ``entity/project/run-id``, ``entity/project/runs/run-id``, ``project``, each with
            ``wandb://`` in front or without; or the address of a project, run, group or sweep.

    Raises:
        NotAProjectError: it is none of these.
    """
    text = text.strip()
    address = is_address(text)
    written = _of_address(text) if address else text.removeprefix(SCHEME).strip("/ ").split("/")
    parts = [part.strip() for part in written]
    filters: dict[str, object] = {}
    if len(parts) > 3 and parts[2] in _PARTS:
        filters = {_PARTS[parts[2]]: parts[3]}
        # What follows in an address is a page about that run.
        parts = [*parts[:2], *([] if address else parts[4:])]
    elif len(parts) > 2 and parts[2] in _PAGES:
        parts = parts[:2]
    elif len(parts) == 3:
        filters = {"name": parts.pop()}
    if len(parts) > 2 or not all(parts):
        raise NotAProjectError(f"'{brief(text)}' is no project of W&B: write {FORMS}")
    entity, name = (None, parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    for what, part in (("entity", entity), ("project", name)):
        if part is not None and (found := _ILLEGAL.search(part)):
            raise NotAProjectError(f"'{brief(part)}' is the name of no {what} on W&B: it has {found[0]!r} in it")
    if len(name) > PROJECT_LETTERS:
        raise NotAProjectError(f"'{brief(name)}' is no project of W&B: a name has {PROJECT_LETTERS} characters at most")
    return Project(entity, name, filters)


def is_address(text: str) -> bool:
    """Whether it is the address of a web page, pasted with its scheme or without."""
    return text.strip().lower().startswith(("http://", "https://")) or bool(
        _HOSTS.fullmatch(text.strip().partition("/")[0])
    )


def _of_address(text: str) -> list[str]:
    address = urlsplit(text if "://" in text else f"https://{text}")
    host = (address.hostname or "").lower()
    own = (urlsplit(os.environ.get("WANDB_BASE_URL", "")).hostname or "api.wandb.ai").lower()
    if host.removeprefix("api.").removeprefix("www.") != own.removeprefix("api."):
        raise NotAProjectError(
            f"'{brief(text)}' is a page of {host}, and W&B is at {own} here: set WANDB_BASE_URL to the page's server"
        )
    parts = [unquote(part) for part in address.path.split("/") if part]
    if len(parts) > 2 and parts[2] in ("reports", "reportlist"):
        raise NotAProjectError(
            f"'{brief(text)}' is a report, which holds no runs: give its project, {'/'.join(parts[:2])}"
        )
    if len(parts) < 2:
        raise NotAProjectError(
            f"'{brief(text)}' names no project: give the address of one, https://{host}/ENTITY/PROJECT"
        )
    return parts
