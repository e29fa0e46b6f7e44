"""Weights & Biases beside metrics.jsonl: the same numbers under the same run id, never a reason to fail."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from qae import metrics
from qae.console.text import brief
from qae.errors import ConfigError
from qae.nested import section
from qae.run_directory import RunDirectory
from qae.tracking import wandb_environment, wandb_limits
from qae.tracking.wandb_environment import Mode, mode_of, more_private
from sweeps.composition.toolkit_keys import LAUNCH_MODE

if TYPE_CHECKING:
    import wandb

DEFAULT_PROJECT = "qae"
# Variables that name a W&B run. The client refuses each beside the id of our run.
_OF_ANOTHER_RUN = ("WANDB_SERVICE", "WANDB_RESUME_FROM", "WANDB_FORK_FROM")
# A server that does not answer delays a run by so much at its start and end, at most. Offline there is none to wait
# for, only the client's own process, which an overloaded machine can keep from starting for long.
_INIT_SECONDS: Mapping[Mode, float] = {"online": 30.0, "offline": 120.0}
_FINISH_SECONDS = 120.0
_ERROR_LETTERS = 300
_log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Where a run's metrics go besides its directory."""

    @property
    def problem(self) -> str:
        """What it could not do and why, a part of a sentence; empty where it did all."""
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One finished step."""
        ...

    def tag(self, name: str) -> None:
        """Mark the run, for good."""
        ...

    def finish(self, *, failed: bool) -> None:
        """The attempt is over."""
        ...


class NoTracker:
    """Tracks nothing.

    Args:
        problem: why, where it was asked to.
    """

    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Do nothing."""

    def tag(self, name: str) -> None:
        """Do nothing."""

    def finish(self, *, failed: bool) -> None:
        """Do nothing."""


class WandbTracker:
    """One W&B run per run id; a continued run is resumed under the same id.

    Each step is logged once, under its global step, and committed at once, so that a killed process loses no
    finished step of its own making (what the offline writer has not flushed is in metrics.jsonl). Whatever W&B
    raises is a warning in the log, and the first of them its `problem`.

    Args:
        run: of the client.
        problem: what went wrong before it started.
    """

    def __init__(self, run: "wandb.Run", problem: str = "") -> None:
        self._run: wandb.Run | None = run
        self.problem = problem

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send one finished step."""
        if self._run is None:
            return
        try:
            self._run.log(dict(values), step=step, commit=True)
        except Exception as error:  # a tracker never ends a run
            _log.warning("W&B did not take step %d (%s); metrics.jsonl has it", step, error)
            self.problem = self.problem or f"step {step} was not taken ({_line(error)})"

    def tag(self, name: str) -> None:
        """Add a tag to those that the run has."""
        if self._run is None:
            return
        try:
            self._run.tags = wandb_limits.tags((*(self._run.tags or ()), name))
        except Exception as error:  # as above
            _log.warning("W&B did not take the tag %s (%s); guard.jsonl has the decision", name, error)

    def finish(self, *, failed: bool) -> None:
        """Flush and close the W&B run."""
        if self._run is None:
            return
        try:
            self._run.finish(exit_code=int(failed))
        except Exception as error:  # as above
            _log.warning("W&B could not close the run (%s); metrics.jsonl is complete", error)
            self.problem = self.problem or f"the run was not closed ({_line(error)})"
        self._run = None


def check(tracking: Mapping[str, object]) -> None:
    """Refuse tracking settings that do not exist.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    _choice("tracking.backend", tracking.get("backend"), ("wandb", "none"))
    if tracking.get("backend") == "wandb":
        _choice("tracking.mode", tracking.get("mode"), ("auto", "online", "offline"))
        for key in ("project", "entity"):
            wandb_limits.checked(f"tracking.{key}", tracking.get(key))


@dataclass(frozen=True)
class Destination:
    """Where W&B's rows of a run go.

    Attributes:
        mode: online, offline or disabled.
        source: what decided the mode.
        project: W&B's.
        entity: W&B's; None for the user's default one.
    """

    mode: Mode
    source: str
    project: str
    entity: str | None

    def __str__(self) -> str:
        where = f"{self.entity}/{self.project}" if self.entity else f"project {self.project}"
        if self.mode == "online":
            return f"W&B: online, to {where} at {wandb_environment.server()} ({self.source})."
        if self.mode == "offline":
            return f"W&B: offline, below each run's directory; `qae sync` sends it to {where} ({self.source})."
        return f"W&B: off ({self.source})."


def destination(tracking: Mapping[str, object], *, typed: bool = False) -> Destination | None:
    """Where a run with these settings is tracked; None where W&B is not its tracker.

    ``tracking.project`` and ``tracking.entity`` win over the environment. So does ``tracking.mode`` where the user
    typed it; one from a file does not send what the environment keeps here.

    Args:
        tracking: the section of a resolved configuration.
        typed: whether the user typed ``tracking.mode``.

    Raises:
        ConfigError: settings that do not exist, or a project that W&B refuses.
    """
    check(tracking)
    if tracking.get("backend") != "wandb":
        return None
    mode, source = _mode(str(tracking["mode"]), typed=typed)
    project = _project(tracking)
    entity = tracking.get("entity") or wandb_environment.setting("entity")
    return Destination(mode, source, project, str(entity) if entity else None)


def for_launch(
    configs: Sequence[Mapping[str, object]], arguments: Sequence[str]
) -> tuple[list[dict[str, object]], list[Destination]]:
    """Configurations that say where their runs are tracked, whatever environment a job will see.

    Args:
        configs: of runs, resolved.
        arguments: the command line that launches them.

    Returns:
        the configurations, and each place that W&B's rows go to once.

    Raises:
        ConfigError: see `destination`.
    """
    typed = any(argument.lstrip("+").startswith("tracking.mode=") for argument in arguments)
    places: dict[str, Destination | None] = {}
    launched: list[dict[str, object]] = []
    for config in configs:
        tracking = section(config, "tracking")
        key = repr(tracking)
        if key not in places:  # settings files are read once for a thousand runs
            places[key] = destination(tracking, typed=typed)
        found = places[key]
        settled = {} if found is None else {"project": found.project, "entity": found.entity, LAUNCH_MODE: found.mode}
        launched.append({**config, "tracking": {**tracking, **settled}})
    return launched, list(dict.fromkeys(found for found in places.values() if found is not None))


def uses_wandb(config: Mapping[str, object]) -> bool:
    """Whether W&B tracks the run."""
    tracking = section(config, "tracking")
    return tracking.get("backend") == "wandb" and _mode_here(tracking) != "disabled"


def start(config: Mapping[str, object], directory: RunDirectory, sweep: str) -> Tracker:
    """The configured tracker for an attempt; `NoTracker` where W&B cannot start.

    Where no server answers, W&B records offline, to be synced later.

    Args:
        config: the run's resolved configuration.
        directory: the run; W&B's files go below it.
        sweep: the W&B group.
    """
    tracking = section(config, "tracking")
    if not uses_wandb(config):
        return NoTracker()
    problem = ""
    # The service of the process that started this one would outlive a killed run and hold its id.
    for name in _OF_ANOTHER_RUN:
        os.environ.pop(name, None)
    try:
        mode = _mode_here(tracking)
        if refused := wandb_environment.make_acceptable():
            _log.warning("W&B does not take %s; recording offline without it", ", ".join(refused))
            problem = f"it does not take {', '.join(refused)}, so the run was recorded offline"
            mode = "offline"
        if mode == "online":
            try:
                return WandbTracker(_init(config, directory, sweep, mode))
            except Exception as error:
                _log.warning("W&B's server did not take the run (%s); recording offline, `wandb sync` sends it", error)
                problem = f"its server did not take the run, which was recorded offline ({_line(error)})"
                import wandb

                wandb.teardown()  # its service still holds the run's id
        return WandbTracker(_init(config, directory, sweep, "offline"), problem)
    except Exception as error:  # a tracker never ends a run
        _log.warning("W&B could not start (%s); the run goes on without it", error)
        return NoTracker(f"it could not start ({_line(error)})")


def _init(config: Mapping[str, object], directory: RunDirectory, sweep: str, mode: Mode) -> "wandb.Run":
    import wandb

    tracking = section(config, "tracking")
    labels = section(config, "labels")
    run = wandb.init(
        id=directory.run_id,
        name=wandb_limits.run_name(directory.run_id),
        resume="allow",
        project=_project(tracking),
        entity=wandb_limits.checked("tracking.entity", tracking.get("entity")),
        group=wandb_limits.group(sweep),
        job_type=wandb_limits.job_type(config.get("backend")),
        tags=wandb_limits.tags(labels.values()),
        config=wandb_limits.config(config),
        dir=str(directory.path),
        mode=mode,
        settings=wandb.Settings(
            silent=True,
            console="off",
            save_code=False,
            disable_git=True,
            init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", _INIT_SECONDS[mode])),
            finish_timeout=_FINISH_SECONDS,
            x_disable_stats=True,
            x_disable_machine_info=True,
        ),
    )
    run.define_metric(metrics.GLOBAL_STEP.name)
    run.define_metric("*", step_metric=metrics.GLOBAL_STEP.name)
    return run


def wandb_mode(wanted: str) -> Mode:
    """`tracking.mode` resolved: auto is what W&B's switches say, else online where a key is set, offline elsewhere."""
    return _mode(wanted, typed=True)[0]


def _mode_here(tracking: Mapping[str, object]) -> Mode:
    """The mode in this process: a job's environment may ask for more privacy than its launch did, never for less."""
    here = wandb_mode(str(tracking.get("mode")))
    launched = tracking.get(LAUNCH_MODE)
    return here if launched is None else more_private(here, mode_of(launched))


def _mode(wanted: str, *, typed: bool) -> tuple[Mode, str]:
    """A mode, and what decided it."""
    switch = wandb_environment.switch()
    if switch is not None and (wanted == "auto" or switch.source.startswith("WANDB_DISABLED")):
        return switch.mode, switch.source
    if wanted == "auto":
        return ("online", "a key is set") if wandb_environment.has_key() else ("offline", "no key is set")
    mode = mode_of(wanted)
    if switch is not None and not typed and more_private(mode, switch.mode) != mode:
        return switch.mode, switch.source
    return mode, f"tracking.mode={wanted}"


def _project(tracking: Mapping[str, object]) -> str:
    if own := wandb_limits.checked("tracking.project", tracking.get("project")):
        return own
    return wandb_limits.checked("WANDB_PROJECT", wandb_environment.setting("project")) or DEFAULT_PROJECT


def _line(error: Exception) -> str:
    return brief(" ".join(str(error).split()) or type(error).__name__, _ERROR_LETTERS)


def _choice(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(key, value, f"choose one of {', '.join(allowed)}")
