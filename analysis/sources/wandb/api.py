"""Runs of a W&B project through its public API: in parallel, kept locally, and only what is new fetched again."""

import json
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import pandas as pd

from analysis.runs.configuration import flatten
from analysis.runs.flaw import Flaw
from analysis.runs.flaws import rewritten
from analysis.runs.frames import Runs
from analysis.sources import cache
from analysis.sources.assembly import LoadedRun, assemble
from analysis.sources.lost import Lost, flaws_from, flaws_to, tidied
from analysis.sources.metric_names import mapped
from analysis.sources.tidy import from_rows, no_metrics, updated
from analysis.sources.wandb.names import NotAProjectError, parse
from analysis.sources.wandb.steps import STEP_AXIS, step_flaws
from qae.files import numbers
from qae.run_directory import RunStatus
from qae.tracking import wandb_environment

if TYPE_CHECKING:
    import wandb
    from wandb.apis.public import Run

_KIND = "wandb-api"
_THREADS = 8
_PAGE_OF_RUNS = 100
# A page of history is a window of steps; a row of 60 numbers is about 2 kB.
_PAGE_OF_STEPS = 5_000
_TIMEOUT_SECONDS = 60
_CONNECT_SECONDS = 10.0
_WAITS = (1.0, 2.0, 4.0, 8.0)
_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_STATUS = {
    "finished": RunStatus.DONE,
    "running": RunStatus.RUNNING,
    "failed": RunStatus.FAILED,
    "crashed": RunStatus.FAILED,
    "killed": RunStatus.CANCELLED,
    "preempted": RunStatus.PREEMPTED,
    "preempting": RunStatus.PREEMPTED,
    "pending": RunStatus.QUEUED,
}


class WandbError(ValueError):
    """W&B did not give what was asked; its text is one sentence for the user."""


@dataclass(frozen=True)
class Pulled:
    """How a run came.

    Attributes:
        run: the run with its numbers.
        remark: on a metric that is not what its name says, or "".
        rows: history rows fetched now; 0 where the local copy was current.
    """

    run: LoadedRun
    remark: str
    rows: int


def load(
    path: str,
    filters: Mapping[str, object] | None = None,
    *,
    progress: Callable[[Pulled], None] | None = None,
    waits: Sequence[float] = _WAITS,
) -> Runs:
    """Read the runs of a project.

    A run is kept locally by its id and heartbeat: one without a new heartbeat costs no request, of one with a new
    heartbeat only the rows after the last known step are fetched. The listing itself is always asked for. A run that
    W&B does not give after all attempts is left out and `Runs.notes` says so.

    Args:
        path: what `names.parse` takes: ``entity/project``, or ``project`` of the key's own entity, or an address.
        filters: in W&B's form, e.g. ``{"config.algorithm.quantile_k": 0.4, "group": "fig9"}``.
        progress: called with each run as it arrives.
        waits: seconds between repeated attempts at a request.

    Raises:
        WandbError: there is no key, no such project, no network, or no run passes the filter; as many runs as are
            fetched at once have failed one after another.
    """
    try:
        project = parse(path)
    except NotAProjectError as error:
        raise WandbError(str(error)) from error
    wanted = {"$and": [project.filters, filters]} if project.filters and filters else project.filters or filters
    api = connect()
    runs = _patiently(lambda: _listing(api, project.path, wanted), project.path, waits)
    if not runs:
        raise WandbError(f"no run of {project.path} passes the filter {json.dumps(wanted or {})}")
    notes: list[str] = []
    loaded: list[LoadedRun] = []
    failures = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for run, pulled in zip(runs, pool.map(lambda run: _attempt(run, _server(api), waits), runs), strict=True):
            if isinstance(pulled, WandbError):
                failures += 1
                if failures == min(_THREADS, len(runs)):
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise pulled
                notes.append(f"Run {run.id} is left out: {pulled}.")
                continue
            failures = 0
            loaded.append(pulled.run)
            notes += [f"Run {pulled.run.id}: {pulled.remark}."] if pulled.remark else []
            if progress is not None:
                progress(pulled)
    return assemble(loaded, notes)


def connect() -> "wandb.Api":
    """The client's public API with the key that the environment has.

    Raises:
        WandbError: there is no key, the server refuses it or does not answer.
    """
    # The client asks on the terminal for a key that it lacks; a script must not wait for an answer.
    os.environ.setdefault("WANDB_SILENT", "true")
    # Whoever names a project asks for the network: as for `wandb sync`, switches for runs that train do not count.
    if refused := wandb_environment.make_acceptable():
        raise WandbError(f"W&B does not take what {', '.join(refused)} holds; correct it, or unset it")
    import wandb
    from wandb.errors import AuthenticationError, UsageError

    if not _has_key():
        raise WandbError(_NO_KEY)
    try:
        _reach(_url())
        return wandb.Api(timeout=_TIMEOUT_SECONDS)
    except (UsageError, AuthenticationError) as error:
        raise WandbError(_NO_KEY if "configured" in str(error) else f"W&B refused the key: {_line(error)}") from error
    except Exception as error:  # the client raises whatever its transport does
        raise WandbError(_unreachable(error)) from error


_NO_KEY = "no W&B key is set: run `wandb login`, or set WANDB_API_KEY"


def _url() -> str:
    return wandb_environment.server()


def _reach(url: str) -> None:
    """Find out in seconds that there is no network: the client would try for a minute. Proxies are left to it."""
    address = urlsplit(url)
    if getproxies().get(address.scheme) and not proxy_bypass(address.hostname or ""):
        return
    port = address.port or (80 if address.scheme == "http" else 443)
    with socket.create_connection((address.hostname or "", port), timeout=_CONNECT_SECONDS):
        pass


def _has_key() -> bool:
    """Whether the client finds a key; `wandb.Api` itself would ask for one on the terminal."""
    from wandb.sdk.lib import wbauth

    found = wbauth.authenticate_session(host=_url(), source="qae", no_offline=True, no_create=True, prompt=False)
    return found is not None


def _server(api: "wandb.Api") -> str:
    return str(api.settings["base_url"])


def _listing(api: "wandb.Api", path: str, filters: Mapping[str, object] | None) -> "list[Run]":
    api.flush()  # type: ignore[no-untyped-call]  # the client's
    # Not lazy: configuration and summary come with the listing instead of by one request per run.
    return list(api.runs(path, filters=dict(filters or {}), per_page=_PAGE_OF_RUNS, lazy=False))


def _attempt(run: "Run", server: str, waits: Sequence[float]) -> Pulled | WandbError:
    try:
        return _pull(run, server, waits)
    except WandbError as error:
        return error


def _pull(run: "Run", server: str, waits: Sequence[float]) -> Pulled:
    name = f"{server}/{run.entity}/{run.project}/{run.id}"
    heartbeat, created = str(run.heartbeat_at), str(run.created_at)
    kept = cache.read(_KIND, name)
    if kept is not None and kept.description.get("created") != created:
        # Deleted and made again under the same id: another run.
        kept = None
    rows = 0
    if kept is None or kept.key != heartbeat:
        known = kept.metrics if kept is not None else no_metrics()
        start = kept.description["next"] if kept is not None else 0
        fetched = _patiently(lambda: _history(run, start), name, waits)
        rows = fetched.rows
        metrics = updated(known, fetched.metrics) if rows else known
        earlier = flaws_from(kept.description) if kept is not None else ((), ())
        about = flaws_to((*earlier[0], *fetched.lost), (*earlier[1], *fetched.flaws))
        kept = cache.Entry(heartbeat, {"created": created, "next": fetched.following, **about}, metrics)
        cache.write(_KIND, name, kept)
    lost, flaws = flaws_from(kept.description)
    config = flatten({key: value for key, value in run.config.items() if key != "_wandb"})
    metrics, remark = mapped(kept.metrics, config)
    status = _STATUS.get(str(run.state), RunStatus.RUNNING)
    loaded = LoadedRun(str(run.id), config, status, metrics, lost=lost, flaws=flaws)
    return Pulled(loaded, remark, rows)


@dataclass(frozen=True)
class _Fetched:
    """Rows of a history from some step on.

    Attributes:
        metrics: columns step, name, value.
        lost: values of metrics that are no number.
        flaws: what else is wrong with them.
        rows: how many rows came.
        following: W&B's step after the last.
    """

    metrics: pd.DataFrame
    lost: tuple[Lost, ...]
    flaws: tuple[Flaw, ...]
    rows: int
    following: int


def _history(run: "Run", start: int) -> _Fetched:
    """Rows from W&B's step `start` on."""
    items: list[tuple[int, str, object]] = []
    refused: list[object] = []
    nowhere = rows = 0
    following = start
    for row in _rows(run, start):
        own = numbers.step(row.get("_step"))
        following = max(following, (start if own is None else own) + 1)
        given = row.get(STEP_AXIS)
        at = numbers.step(given)
        if at is None and given is not None:
            refused.append(given)
        at = own if at is None else at
        if at is None:
            nowhere += 1
            continue
        rows += 1
        # Exported rows have every key, with None for what they lack.
        items += [(at, name, value) for name, value in row.items() if value is not None and not name.startswith("_")]
    steps, names, values, lost = tidied(items)
    flaws = step_flaws(len(refused), refused[0] if refused else None, nowhere)
    repeated = rewritten(pd.DataFrame({"step": steps, "name": names, "value": values}))
    flaws += [repeated] if repeated else []
    return _Fetched(from_rows(steps, names, values), lost, tuple(flaws), rows, following)


def _rows(run: "Run", start: int) -> Iterator[dict[str, object]]:
    # The client's own cache of exports has no key for their age.
    yield from run.scan_history(min_step=start, page_size=_PAGE_OF_STEPS, use_cache=False)


def _patiently(request: Callable[[], _T], what: str, waits: Sequence[float]) -> _T:
    """The request's result, after as many attempts as there are waits and one more.

    Raises:
        WandbError: the last attempt failed, or repeating is of no use.
    """
    for wait in (*waits, None):
        try:
            return request()
        except Exception as error:  # the client raises whatever its transport does
            if is_missing(error):
                raise WandbError(f"there is no project {what} that this key can read on W&B") from error
            if wait is None:
                raise WandbError(_unreachable(error)) from error
            _log.info("W&B did not answer for %s (%s); again in %.0f s", what, _line(error), wait)
            time.sleep(wait)
    raise AssertionError("unreachable")


def is_missing(error: Exception) -> bool:
    """Whether the client says that the project or run does not exist, or not for this key."""
    text = str(error).lower()
    return "could not find project" in text or re.search(r"\b404\b", text) is not None or "not found" in text


def _unreachable(error: Exception) -> str:
    return f"W&B at {_url()} cannot be reached: {_line(error)}"


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
