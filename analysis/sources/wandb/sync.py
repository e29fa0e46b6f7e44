"""Runs of the run store to W&B: every step exactly once, whatever of it is there already.

A run's rows are put together from all its files: the offline (and online) records of each attempt, and metrics.jsonl,
which has what a killed writer lost. The server is asked which global steps it has, and only the others are sent, by
the client itself under the run's id. So it does not matter how far an online run, an earlier sync or `wandb sync`
came, and a second sync sends nothing. W&B takes rows in ascending order of its own step only: steps that lie before
its last one go to its end with their ``training/global_step``, which is the axis of every chart.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from analysis.sources import SourceError, manifests
from analysis.sources.tidy import superseding
from analysis.sources.wandb import api as wandb_api
from analysis.sources.wandb import offline as wandb_offline
from analysis.sources.wandb.api import WandbError
from analysis.sources.wandb.order import in_order
from analysis.sources.wandb.records import Description
from analysis.sources.wandb.steps import STEP_AXIS
from qae.files.numbers import number
from qae.nested import section
from qae.run_directory import RunDirectory, RunStatus, logged_steps
from qae.tracking import wandb_environment, wandb_limits

if TYPE_CHECKING:
    import wandb

# A run whose state is younger than this is being written by its own process, which may be online.
_ALIVE_SECONDS = 120.0
# Seconds between looks at a server that has not made readable yet what it took.
_WAITS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_FINISH_SECONDS = 600.0
_PAGE_OF_STEPS = 5_000
Rows = Mapping[int, Mapping[str, float]]


class Outcome(StrEnum):
    """What became of a run."""

    SENT = "sent"
    COMPLETE = "complete already"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Synced:
    """A run, synced.

    Attributes:
        run_id: which.
        outcome: what became of it.
        path: ``entity/project/id`` on W&B.
        sent: steps sent now.
        late: those of them that lie before what was there and went to the end.
        repaired: steps of metrics.jsonl that no W&B file had.
        reason: why it was skipped or has failed, or "".
    """

    run_id: str
    outcome: Outcome
    path: str = ""
    sent: int = 0
    late: int = 0
    repaired: int = 0
    reason: str = ""


def sync(root: Path, run_ids: Sequence[str], *, waits: Sequence[float] = _WAITS) -> Iterator[Synced]:
    """Bring runs to W&B, one after another, each as it is done; one that fails does not keep the others back.

    Args:
        root: the run store.
        run_ids: which runs.
        waits: seconds between looks at a server that is not up to date with itself yet.

    Raises:
        WandbError: there is no key or no network.
    """
    api = wandb_api.connect()
    groups = _groups(root)
    for run_id in run_ids:
        directory = RunDirectory(root / run_id)
        local = _local(directory, groups.get(run_id, ""))
        if isinstance(local, Synced):
            yield local
            continue
        try:
            with _alone(directory):
                synced = _sync_run(api, directory, local, waits)
        except WandbError as error:
            # Without a network the others need not be tried.
            wandb_api.connect()
            synced = Synced(run_id, Outcome.FAILED, reason=str(error))
        yield synced


@dataclass(frozen=True)
class _Local:
    """A run as its files have it."""

    description: Description
    rows: Rows
    repaired: int
    files: tuple[Path, ...]
    failed: bool


def _local(directory: RunDirectory, group: str) -> _Local | Synced:
    try:
        state = directory.read_state()
        config = yaml.safe_load(directory.config.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        return Synced(directory.run_id, Outcome.SKIPPED, reason=f"its files cannot be read ({error})")
    if state.status is RunStatus.RUNNING and time.time() - state.heartbeat < _ALIVE_SECONDS:
        return Synced(directory.run_id, Outcome.SKIPPED, reason="it is running; sync it when it has ended")
    segments = [wandb_offline.read_segment(path) for path in wandb_offline.offline_files(directory.path / "wandb")]
    if not isinstance(config, dict):
        return Synced(directory.run_id, Outcome.SKIPPED, reason="its config.yaml holds no mapping")
    tracking = config.get("tracking") or {}
    if not segments and tracking.get("backend") != "wandb":
        return Synced(directory.run_id, Outcome.SKIPPED, reason="it was not tracked with W&B (tracking=none)")
    segments, _ = in_order(segments)
    recorded = superseding([segment.metrics for segment in segments]) if segments else None
    rows = {} if recorded is None else _rows(recorded)
    lines = _lines(directory)
    repaired = len(lines.keys() - rows.keys())
    rows = {step: {**rows.get(step, {}), **lines.get(step, {}), STEP_AXIS: step} for step in {**rows, **lines}}
    description = _description([segment.description for segment in segments], directory, config, group)
    if not rows:
        return Synced(directory.run_id, Outcome.SKIPPED, reason="it has no step yet")
    files = tuple(segment.path for segment in segments)
    return _Local(description, dict(sorted(rows.items())), repaired, files, state.status is RunStatus.FAILED)


def _rows(metrics: pd.DataFrame) -> dict[int, dict[str, float]]:
    rows: dict[int, dict[str, float]] = {}
    for step, name, value in zip(metrics["step"], metrics["name"], metrics["value"], strict=True):
        rows.setdefault(int(step), {})[str(name)] = float(value)
    return rows


def _lines(directory: RunDirectory) -> dict[int, dict[str, float]]:
    return {
        step: {name: value for name, given in values.items() if (value := number(given)) is not None}
        for step, values in logged_steps(directory)
    }


def _description(
    recorded: Sequence[Description], directory: RunDirectory, config: dict[str, object], group: str
) -> Description:
    """What W&B's files say of the run; its configuration where they do not (the writer was killed before)."""
    known = next((description for description in reversed(recorded) if description.run_id), Description())
    tracking, labels = section(config, "tracking"), section(config, "labels")
    return replace(
        known,
        run_id=directory.run_id,
        name=known.name or directory.run_id,
        entity=known.entity or str(tracking.get("entity") or wandb_environment.setting("entity") or ""),
        project=known.project
        or str(tracking.get("project") or wandb_environment.setting("project") or "uncategorized"),
        group=known.group or group,
        job_type=known.job_type or str(config.get("backend", "")),
        tags=known.tags or wandb_limits.tags(labels.values()),
        config=known.config or config,
    )


def _sync_run(api: "wandb.Api", directory: RunDirectory, local: _Local, waits: Sequence[float]) -> Synced:
    description = local.description
    entity = description.entity or str(api.default_entity)
    path = f"{entity}/{description.project}/{directory.run_id}"
    there = _there(api, path)
    missing = [step for step in local.rows if step not in there.steps]
    late = 0
    if missing:
        late = _send(api, path, local, missing, waits)
        _confirm(api, path, local.rows, waits)
    for file in local.files:
        # `wandb sync` would send the steps again; this is the mark that makes it pass the file over.
        file.with_name(f"{file.name}.synced").touch()
    outcome = Outcome.SENT if missing else Outcome.COMPLETE
    return Synced(directory.run_id, outcome, path, len(missing), late, local.repaired)


@dataclass(frozen=True)
class _There:
    """What the server has of a run: its last own step, -1 before the first, and the global steps."""

    last: int
    steps: frozenset[int]


def _there(api: "wandb.Api", path: str) -> _There:
    """What the server has; nothing where it does not know the run.

    Whole rows are read: by keys the server gives samples, and not the rows that lack one.
    """
    api.flush()  # type: ignore[no-untyped-call]  # the client's
    entity, project, run_id = path.split("/")
    try:
        runs = list(api.runs(f"{entity}/{project}", filters={"name": run_id}, per_page=1))
        rows = list(runs[0].scan_history(page_size=_PAGE_OF_STEPS, use_cache=False)) if runs else []
    except Exception as error:  # the client raises whatever its transport does
        if wandb_api.is_missing(error):
            return _There(-1, frozenset())
        raise WandbError(f"W&B did not answer for {path}: {error}") from error
    last = max((int(row["_step"]) for row in rows), default=-1)
    return _There(last, frozenset(int(row[STEP_AXIS]) for row in rows if STEP_AXIS in row))


def _send(api: "wandb.Api", path: str, local: _Local, missing: Sequence[int], waits: Sequence[float]) -> int:
    """Log the missing steps; how many of them came late."""
    import wandb

    description = local.description
    with tempfile.TemporaryDirectory(prefix="qae-sync-") as folder:
        run = _init(description, path, folder)
        try:
            start = int(run.starting_step)
            there = _settled(api, path, start, waits)
            missing = [step for step in missing if step not in there.steps]
            in_order = [step for step in missing if step >= start]
            late = [step for step in missing if step < start]
            for step in in_order:
                run.log(dict(local.rows[step]), step=step, commit=True)
            end = max(start, in_order[-1] + 1 if in_order else 0)
            for offset, step in enumerate(late):
                run.log(dict(local.rows[step]), step=end + offset, commit=True)
        except BaseException:
            run.finish(exit_code=1)
            raise
        try:
            run.finish(exit_code=int(local.failed))
        except wandb.Error as error:
            raise WandbError(f"W&B did not take all of {path} ({error}); the same command sends the rest") from error
    return len(late)


def _init(description: Description, path: str, folder: str) -> "wandb.Run":
    import wandb

    entity, project, run_id = path.split("/")
    try:
        run = wandb.init(
            entity=entity,
            project=project,
            id=run_id,
            name=wandb_limits.run_name(description.name),
            group=wandb_limits.group(description.group) or None,
            job_type=wandb_limits.job_type(description.job_type) or None,
            tags=wandb_limits.tags(description.tags),
            config=wandb_limits.config(description.config),
            resume="allow",
            mode="online",
            dir=folder,
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                save_code=False,
                disable_git=True,
                finish_timeout=_FINISH_SECONDS,
                x_disable_stats=True,
                x_disable_machine_info=True,
            ),
        )
    except Exception as error:  # the client raises whatever its transport does
        raise WandbError(f"W&B did not take {path} ({error})") from error
    run.define_metric(STEP_AXIS)
    run.define_metric("*", step_metric=STEP_AXIS)
    return run


def _settled(api: "wandb.Api", path: str, start: int, waits: Sequence[float]) -> _There:
    """What the server has, once its history can be read up to where it says that the run continues.

    Raises:
        WandbError: it cannot; what is missing is not known then, and guessing would double steps.
    """
    for wait in (*waits, None):
        there = _there(api, path)
        if there.last >= start - 1:
            return there
        if wait is None:
            break
        time.sleep(wait)
    raise WandbError(f"W&B has rows of {path} that cannot be read yet; run the same command again in a few minutes")


def _confirm(api: "wandb.Api", path: str, rows: Rows, waits: Sequence[float]) -> None:
    """Read back what was sent.

    Raises:
        WandbError: steps are missing.
    """
    for wait in (*waits, None):
        lacking = rows.keys() - _there(api, path).steps
        if not lacking:
            return
        if wait is None:
            break
        time.sleep(wait)
    raise WandbError(f"{len(lacking)} steps of {path} cannot be read back from W&B; run the same command again")


@contextmanager
def _alone(directory: RunDirectory) -> Iterator[None]:
    """Two syncs of a run at once would both send what is missing."""
    folder = directory.path / "wandb"
    folder.mkdir(exist_ok=True)
    handle = os.open(folder / ".sync.lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _groups(root: Path) -> dict[str, str]:
    """The sweep of each run, the one launched last where it is in several."""
    groups: dict[str, str] = {}
    for name in reversed(manifests.names(root)):
        with suppress(SourceError):  # a damaged list names no groups
            groups |= dict.fromkeys(manifests.run_ids(root, name), name)
    return groups
