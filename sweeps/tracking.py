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
_log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Where a run's metrics go besides its directory."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One finished step."""
        ...

    def finish(self, *, failed: bool) -> None:
        """The attempt is over."""
        ...


class NoTracker:
    """Tracks nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
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


def start(config: Mapping[str, object], directory: RunDirectory, sweep: str) -> Tracker:
    """The configured tracker for an attempt; `NoTracker` where W&B cannot start.

    Args:
        config: the run's resolved configuration.
        directory: the run; W&B's files go below it.
        sweep: the W&B group.
    """
    tracking = cast("Mapping[str, object]", config.get("tracking", {}))
    check(tracking)
    if tracking["backend"] == "none":
        return NoTracker()
    labels = cast("Mapping[str, object]", config.get("labels", {}))
    try:
        import wandb

        run = wandb.init(
            id=directory.run_id,
            name=directory.run_id,
            resume="allow",
            project=cast("str", tracking.get("project")),
            entity=cast("str | None", tracking.get("entity")),
            group=sweep,
            job_type=str(config.get("backend")),
            tags=[str(label) for label in labels.values() if label],
            config=dict(config),
            dir=str(directory.path),
            mode=wandb_mode(cast("str", tracking["mode"])),
            settings=wandb.Settings(
                silent=True,
                console="off",
                save_code=False,
                disable_git=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
            ),
        )
        run.define_metric(metrics.GLOBAL_STEP.name)
        run.define_metric("*", step_metric=metrics.GLOBAL_STEP.name)
    except Exception as error:  # a tracker never ends a run
        _log.warning("W&B could not start (%s); the run goes on without it", error)
        return NoTracker()
    return WandbTracker(run)


def wandb_mode(wanted: str) -> Mode:
    """`tracking.mode` resolved: auto is online where a key is set, by environment or netrc, and offline elsewhere."""
    if wanted != "auto":
        return cast("Mode", wanted)
    return "online" if os.environ.get("WANDB_API_KEY") or _key_in_netrc() else "offline"


def _key_in_netrc() -> bool:
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _choice(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(key, value, f"choose one of {', '.join(allowed)}")
