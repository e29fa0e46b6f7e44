"""Weights & Biases beside metrics.jsonl: the same numbers under the same run id, never a reason to fail."""

import logging
import netrc
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol, cast

from qae import metrics
from qae.errors import ConfigError
from qae.run_directory import RunDirectory

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline"]
# A server that does not answer delays a run by so much at its start and end, at most. Offline there is none to wait
# for, only the client's own process, which an overloaded machine can keep from starting for long.
_INIT_SECONDS: Mapping[Mode, float] = {"online": 30.0, "offline": 120.0}
_FINISH_SECONDS = 120.0
_log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Where a run's metrics go besides its directory."""

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
    """Tracks nothing."""

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
    raises is a warning in the log.
    """

    def __init__(self, run: "wandb.Run") -> None:
        self._run: wandb.Run | None = run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send one finished step."""
        if self._run is None:
            return
        try:
            self._run.log(dict(values), step=step, commit=True)
        except Exception as error:  # a tracker never ends a run
            _log.warning("W&B did not take step %d (%s); metrics.jsonl has it", step, error)

    def tag(self, name: str) -> None:
        """Add a tag to those that the run has."""
        if self._run is None:
            return
        try:
            self._run.tags = tuple(dict.fromkeys((*(self._run.tags or ()), name)))
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
        self._run = None


def check(tracking: Mapping[str, object]) -> None:
    """Refuse tracking settings that do not exist.

    Raises:
        ConfigError: names the key, the value and the fix.
    """
    _choice("tracking.backend", tracking.get("backend"), ("wandb", "none"))
    if tracking.get("backend") == "wandb":
        _choice("tracking.mode", tracking.get("mode"), ("auto", "online", "offline"))


def uses_wandb(config: Mapping[str, object]) -> bool:
    """Whether W&B tracks the run; its own way to be switched off, WANDB_MODE=disabled, holds here too."""
    backend = cast("Mapping[str, object]", config.get("tracking", {})).get("backend")
    return backend == "wandb" and os.environ.get("WANDB_MODE") != "disabled"


def start(config: Mapping[str, object], directory: RunDirectory, sweep: str) -> Tracker:
    """The configured tracker for an attempt; `NoTracker` where W&B cannot start.

    Where no server answers, W&B records offline, to be synced later.

    Args:
        config: the run's resolved configuration.
        directory: the run; W&B's files go below it.
        sweep: the W&B group.
    """
    tracking = cast("Mapping[str, object]", config.get("tracking", {}))
    check(tracking)
    if not uses_wandb(config):
        return NoTracker()
    mode = wandb_mode(cast("str", tracking["mode"]))
    # Of the process that started this one; W&B's service there would outlive a killed run and hold its id.
    os.environ.pop("WANDB_SERVICE", None)
    try:
        if mode == "online":
            try:
                return WandbTracker(_init(config, directory, sweep, mode))
            except Exception as error:
                _log.warning("W&B's server did not take the run (%s); recording offline, `wandb sync` sends it", error)
                import wandb

                wandb.teardown()  # its service still holds the run's id
        return WandbTracker(_init(config, directory, sweep, "offline"))
    except Exception as error:  # a tracker never ends a run
        _log.warning("W&B could not start (%s); the run goes on without it", error)
        return NoTracker()


def _init(config: Mapping[str, object], directory: RunDirectory, sweep: str, mode: Mode) -> "wandb.Run":
    import wandb

    tracking = cast("Mapping[str, str | None]", config["tracking"])
    labels = cast("Mapping[str, object]", config.get("labels", {}))
    run = wandb.init(
        id=directory.run_id,
        name=directory.run_id,
        resume="allow",
        project=tracking.get("project"),
        entity=tracking.get("entity"),
        group=sweep,
        job_type=str(config.get("backend")),
        tags=[str(label) for label in labels.values() if label],
        config=dict(config),
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
    """`tracking.mode` resolved: auto is what $WANDB_MODE says, else online where a key is set and offline elsewhere.

    A key is looked for where the client looks: in the environment and in netrc.
    """
    if wanted == "auto":
        wanted = os.environ.get("WANDB_MODE", "")
    if wanted in ("online", "offline"):
        return cast("Mode", wanted)
    return "online" if os.environ.get("WANDB_API_KEY") or _key_in_netrc() else "offline"


def _key_in_netrc() -> bool:
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _choice(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(key, value, f"choose one of {', '.join(allowed)}")
