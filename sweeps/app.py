"""The Hydra application behind `python sweep.py`: composition, the local launcher, one-sentence errors."""

import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qae.errors import ConfigError
from sweeps.compose import resolved
from sweeps.executor import ExecutorError
from sweeps.store import StoreError

if TYPE_CHECKING:
    from sweeps.executor import Executor
    from sweeps.launch import Outcome

TREE = Path(__file__).parent / "conf"
_NOT_AXES = ("sweep.", "tracking", "resources", "slurm.", "site=", "guard", "hydra", "experiment", "labels.", "search.")
# A single run as composed, and the node of its launcher; it is launched after Hydra has returned, which would add a
# line of its own to errors.
_single: list[tuple[list[str], DictConfig, DictConfig]] = []
_outcomes: list["Outcome"] = []


def main() -> "Outcome | None":
    """Run Hydra on the command line.

    Returns:
        what the launch came to; None for ``--help``, ``--cfg`` and the like.

    Raises:
        SystemExit: with status 2 after a sentence on stderr, for what the user typed wrong.
    """
    # Hydra would print a traceback or a hint at one; with this it raises, and we say it in a sentence.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        _compose_single_run()
        for overrides, config, launcher in _single:
            launch([(overrides, resolved(config))], [], instantiate(launcher).executor, name="single")
    except (ConfigError, StoreError, ExecutorError) as error:
        _refuse(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        _refuse(explain(error))
    except ValueError as error:
        if "--cfg" not in str(error):  # Hydra's own complaint about its flags; anything else is a bug to see in full
            raise
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    return _outcomes[-1] if _outcomes else None


@hydra.main(version_base="1.3", config_path=str(TREE), config_name="config")
def _compose_single_run(config: DictConfig) -> None:
    chosen = HydraConfig.get()
    _single.append((list(chosen.overrides.task), config, cast("DictConfig", chosen.launcher)))


def launch(
    composed: Sequence[tuple[Sequence[str], Mapping[str, object]]],
    notes: Sequence[str],
    executor: "Callable[[Mapping[str, object]], Executor]",
    name: str | None = None,
) -> "Outcome":
    """Launch composed configurations; `main` returns what it comes to.

    Args:
        composed: each job's overrides and resolved configuration, without Hydra's section.
        notes: sentences to show with the plan.
        executor: makes the place to run from the configuration of the first job.
        name: the sweep's name instead of the configured one.
    """
    from qae import terminal
    from sweeps.launch import launch_jobs
    from sweeps.plan import Job

    jobs = []
    for overrides, values in composed:
        if "fork" in values:
            raise ConfigError("fork", values["fork"], "leave it out; the guard writes it for a run that it forks")
        sweep = cast("Mapping[str, object]", values["sweep"])
        config = {**values, "sweep": {**sweep, "name": name}} if name and sweep["name"] == "default" else values
        jobs.append(Job(axes(overrides), config))
    outcome = launch_jobs(jobs, executor(jobs[0].config), terminal.console(), notes)
    _outcomes.append(outcome)
    return outcome


def axes(overrides: Sequence[str]) -> tuple[str, ...]:
    """Those overrides that say what is computed, not how or where."""
    return tuple(override for override in overrides if not override.lstrip("+").startswith(_NOT_AXES))


def record(outcome: "Outcome") -> None:
    """What a sweeper came to that launches by itself; `main` returns it."""
    _outcomes.append(outcome)


def compose_run(overrides: Sequence[str]) -> Mapping[str, object]:
    """The resolved configuration of a single run.

    Raises:
        HydraException, OmegaConfBaseException: an override that cannot be; `explain` says it in a sentence.
    """
    with hydra.initialize_config_dir(str(TREE), version_base="1.3"):
        config = hydra.compose("config", overrides=list(overrides))
    return cast("Mapping[str, object]", OmegaConf.to_container(config, resolve=True, throw_on_missing=True))


def explain(error: Exception) -> str:
    """One sentence for what Hydra or OmegaConf did not like about the command line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        choices = list(error.options or [])
        return f"{group or 'config'}={option} does not exist; {_nearest(option, choices)}choose one of {_list(choices)}"
    text = str(error).replace("\n", " ").split("See https://")[0].strip()
    if match := re.match(r"Ambiguous value for argument '([^']+)'", text):
        return f"{match[1]} names several values; add -m to run each of them, or write a list as key=[a,b]"
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read as KEY=VALUE: {text.removeprefix('Error parsing override ')}"
    if isinstance(error, ConfigCompositionException) and (match := re.match(r"Could not override '([^']+)'", text)):
        key = match[1].lstrip("+~")
        if (TREE / key).is_dir():
            return f"{key} is no choice of this model; leave it out or choose another model="
        return (
            f"{key} is not a key of the configuration; {_nearest(key, _known_keys())}"
            f"`python sweep.py --cfg job` lists them all, and ++{key}=… adds one"
        )
    cause = f" ({str(error.__cause__).splitlines()[0]})" if error.__cause__ and str(error.__cause__) else ""
    return f"{text.split('  ')[0]}{cause}"


def _nearest(word: str, choices: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, [choice for choice in choices if choice != word], n=1)
    return f"did you mean {close[0]}? " if close else ""


def _list(choices: Sequence[str]) -> str:
    return ", ".join(choices) if choices else "none (there is no such group)"


def _known_keys() -> list[str]:
    """Dotted keys of the whole tree, and its groups, for suggestions."""
    keys: set[str] = set()
    for path in TREE.rglob("*.yaml"):
        if path.parent != TREE:
            keys.add(path.parent.relative_to(TREE).as_posix())
        content = OmegaConf.to_container(OmegaConf.load(path))
        keys |= _dotted(content, "") if isinstance(content, dict) else set()
    return sorted(keys)


def _dotted(content: Mapping[Any, object], prefix: str) -> set[str]:
    keys: set[str] = set()
    for key, value in content.items():
        keys.add(f"{prefix}{key}")
        if isinstance(value, Mapping):
            keys |= _dotted(value, f"{prefix}{key}.")
    return keys


def _refuse(sentence: str) -> None:
    sys.stderr.write(f"error: {sentence}\n")
    raise SystemExit(2)
