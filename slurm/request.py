"""What a run asks of Slurm: sbatch's options, read off its configuration (`resources`, `slurm`).

Runs with equal requests go into one job array.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from qae.checks import boolean, whole_number_or_null
from qae.errors import ConfigError
from qae.nested import section, value_of
from slurm import attempts, time_limit
from slurm.time_limit import Pace
from sweeps import trainers
from sweeps.launching.plan import PlannedRun

# What the launcher itself says of every array.
_OURS = ("job-name", "array", "output", "error", "open-mode", "requeue", "no-requeue", "parsable", "wrap", "test-only")
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Runtime(StrEnum):
    """What runs a container."""

    PYXIS = "pyxis"
    APPTAINER = "apptainer"


@dataclass(frozen=True)
class Container:
    """The container that a job trains in.

    Attributes:
        runtime: see `Runtime`.
        image: as the runtime takes it.
        mounts: ``source:target`` each, beside what the job itself needs.
        python: the interpreter inside; None for the launcher's own, whose folder is then mounted.
    """

    runtime: Runtime
    image: str
    mounts: tuple[str, ...] = ()
    python: str | None = None


@dataclass(frozen=True)
class Request:
    """What a job asks for.

    Attributes:
        options: of sbatch, name without dashes and value; None for a flag.
        setup: shell lines before the job.
        container: None to run on the node itself.
        throttle: elements of an array side by side; None: all.
    """

    options: tuple[tuple[str, str | None], ...]
    setup: tuple[str, ...] = ()
    container: Container | None = None
    throttle: int | None = None

    def option(self, name: str) -> str | None:
        """The value of an option; None where it is not asked for."""
        return dict(self.options).get(name)

    def describe(self) -> str:
        """In a few words, for the plan."""
        shown = (
            *("partition", "account", "qos", "nodes", "exclusive"),
            *("gpus-per-node", "gres", "cpus-per-task", "mem", "time"),
        )
        given = [(name, value) for name, value in self.options if name in shown]
        return " ".join(name if value is None else f"{name}={value}" for name, value in given)

    def cost(self, pace: Pace) -> list[str]:
        """What the time limit and a kill cost a run of that pace, a sentence each."""
        limit, signal = self.option("time"), self.option("signal")
        warning = int(signal.rpartition("@")[2]) if signal and signal.rpartition("@")[2].isdecimal() else 0
        return time_limit.cost(pace, time_limit.seconds(limit) if limit else None, warning)


def request_of(config: Mapping[str, object], pace: Pace | None = None) -> Request:
    """Read a run's request off its resolved configuration.

    Args:
        config: of the run.
        pace: of the run, which the warning before the time limit depends on; None where nobody knows.

    Raises:
        ConfigError: a value that sbatch could not use.
    """
    resources = section(config, "resources")
    slurm = section(config, "slurm")
    attempts.limits(slurm.get("attempts"))
    gres = _text(slurm, "slurm.gres")
    trainer = trainers.of(config)
    gpus = trainer.gpus(config)
    cpus = _whole(slurm, "slurm.cpus_per_task") or trainer.cpus(config)
    walltime = _walltime(resources.get("walltime"))
    limit = None if walltime is None else time_limit.seconds(walltime)
    warning = _whole(slurm, "slurm.signal_seconds") or time_limit.warning_seconds(pace, limit)
    asked: dict[str, str | None] = {
        "nodes": str(_whole(resources, "resources.nodes") or 1),
        "ntasks-per-node": "1",
        "cpus-per-task": None if cpus is None else str(cpus),
        "gpus-per-node": str(gpus) if gpus and gres is None else None,
        "gres": gres,
        "mem": _text(resources, "resources.memory"),
        "time": walltime,
        "signal": f"B:USR2@{warning}",
    }
    asked |= {name: _text(slurm, f"slurm.{name}") for name in ("partition", "account", "qos", "constraint", "exclude")}
    options: dict[str, str | None] = {name: value for name, value in asked.items() if value is not None}
    if boolean("resources.exclusive", resources.get("exclusive", False)):
        options["exclusive"] = None
    for name, value in _other_options(slurm.get("options")).items():
        if value is None:
            options.pop(name, None)
        else:
            options[name] = None if isinstance(value, bool) else value
    return Request(
        options=tuple(sorted(options.items())),
        setup=_lines(slurm.get("setup"), "slurm.setup"),
        container=_container(slurm.get("container")),
        throttle=_whole(slurm, "slurm.throttle"),
    )


def grouped(runs: Sequence[PlannedRun]) -> dict[Request, list[PlannedRun]]:
    """The runs by what they ask for, in the order of the sweep.

    Raises:
        ConfigError: see `request_of`.
    """
    groups: dict[Request, list[PlannedRun]] = {}
    for run in runs:
        groups.setdefault(request_of(run.config, pace_of(run)), []).append(run)
    return groups


def pace_of(run: PlannedRun) -> Pace | None:
    """How fast a run goes, by its plan; None without GPUs and where nobody knows."""
    if run.step_seconds is None:
        return None
    trainer, save_freq = trainers.of(run.config), value_of(run.config, "trainer.save_freq")
    gpus = trainer.nodes(run.config) * trainer.gpus(run.config)
    return Pace(run.step_seconds, gpus, max(0, save_freq) if isinstance(save_freq, int) else 0)


def _text(section: Mapping[str, object], key: str) -> str | None:
    value = section.get(key.rpartition(".")[2])
    if value is None:
        return None
    return _checked(key, value)


def _checked(key: str, value: object) -> str:
    """A value that fits on a line of its own."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value):
        raise ConfigError(key, value, "give a word, or null to leave it out")
    if not str(value).isprintable():
        raise ConfigError(key, value, "it has to fit on one line, without control characters")
    return str(value)


def _whole(section: Mapping[str, object], key: str, least: int = 1) -> int | None:
    return whole_number_or_null(key, section.get(key.rpartition(".")[2]), least)


def _walltime(value: object) -> str | None:
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool) or time_limit.seconds(text) is None:
        raise ConfigError(
            "resources.walltime", value, "give minutes, or 'hours:minutes:seconds', or days-hours:minutes"
        )
    return text


def _other_options(section: object) -> dict[str, str | bool | None]:
    """`slurm.options`, checked; None takes an option away, True is a flag."""
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        raise ConfigError("slurm.options", section, "give a mapping from sbatch's options to values")
    found: dict[str, str | bool | None] = {}
    for key, value in section.items():
        name = str(key).replace("_", "-").lstrip("-")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"slurm.options.{key}", value, "it is no long option of sbatch, such as mail-type")
        if name in _OURS:
            raise ConfigError(f"slurm.options.{key}", value, "the launcher sets it for every array; leave it out")
        if value is None or value is False:
            found[name] = None
        else:
            found[name] = True if value is True else _checked(f"slurm.options.{key}", value)
    return found


def _lines(value: object, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ConfigError(key, value, "give a list of lines")
    return tuple(value)


def _container(section: object) -> Container | None:
    if not isinstance(section, Mapping) or section.get("runtime") is None:
        return None
    try:
        runtime = Runtime(section["runtime"])
    except ValueError:
        fix = f"choose one of {', '.join(Runtime)}, or null"
        raise ConfigError("slurm.container.runtime", section["runtime"], fix) from None
    image = _text(section, "slurm.container.image")
    if image is None:
        raise ConfigError("slurm.container.image", None, "give the image, as the runtime takes it")
    mounts = _lines(section.get("mounts"), "slurm.container.mounts")
    return Container(runtime, image, mounts, _text(section, "slurm.container.python"))
