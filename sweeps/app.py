"""The Hydra application behind `python sweep.py`: from a command line to its outcome, or to a sentence."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import hydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import open_dict
from omegaconf.errors import OmegaConfBaseException

from qae.errors import ConfigError
from sweeps.composition import arguments, hydra_main, toolkit_keys
from sweeps.composition.compose import resolved
from sweeps.composition.tree import EXPERIMENT, TREE, did_you_mean, groups, is_group, known_keys
from sweeps.launching.executor import ExecutorError
from sweeps.run_store.store import StoreError

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

    from sweeps.launching.launch import Outcome


def main() -> "Outcome | None":
    """Do what the command line says.

    Returns:
        what the launch came to; None for ``--help``, ``--cfg`` and the like.

    Raises:
        SystemExit: with status 2 after a sentence on stderr, for what the user typed wrong.
    """
    # Hydra would print a traceback or a hint at one; with this it raises, and we say it in a sentence.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv[1:] = arguments.read(sys.argv[1:])
        returned = hydra_main.run(sys.argv[1:])
        return _outcome(returned[-1]) if returned else None
    except ConfigError as error:
        _refuse(f"{error}{arguments.axis_hint(error)}")
    except (StoreError, ExecutorError, arguments.MistypedError) as error:
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


def _outcome(returned: "JobReturn") -> "Outcome":
    """The outcome of a sweep, which Hydra has run; a single run, which Hydra has only composed, is launched here."""
    if returned.return_value is not None:
        swept: Outcome = returned.return_value
        return swept
    from qae.console import terminal
    from sweeps.launching import jobs
    from sweeps.launching.launch import launch

    assert returned.cfg is not None  # noqa: S101  # Hydra has composed both
    assert returned.hydra_cfg is not None  # noqa: S101
    overrides = returned.overrides or ()
    with open_dict(returned.cfg):  # what was chosen of each group names the run
        returned.cfg.hydra = returned.hydra_cfg.hydra
    (job,) = jobs.typed([(overrides, resolved(returned.cfg))], name="single")
    executor = instantiate(returned.hydra_cfg.hydra.launcher).executor(job.config)
    return launch([job], executor, terminal.console(), [*arguments.repeated(overrides), *_of_a_sweep(overrides)])


def compose_run(overrides: Sequence[str]) -> Mapping[str, object]:
    """The resolved configuration of a single run.

    Raises:
        HydraException, OmegaConfBaseException: an override that cannot be; `explain` says it in a sentence.
    """
    with hydra.initialize_config_dir(str(TREE), version_base="1.3"):
        return resolved(hydra.compose("config", overrides=list(overrides), return_hydra_config=True))


def explain(error: Exception) -> str:
    """One sentence for what Hydra or OmegaConf did not like about the command line."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_such_option(str(error.missing_cfg_file), list(error.options or []))
    text = " ".join(str(error).split("See https://")[0].split())
    if isinstance(error, OverrideParseException):
        _, found, inner = text.partition("while evaluating ")
        why = f"in {inner}" if found else arguments.unreadable(error.override)
        return f"{error.override} cannot be read as KEY=VALUE: {why}"
    for pattern, sentence in _SENTENCES:
        if match := re.match(pattern, text):
            return sentence.format(*match.groups())
    if isinstance(error, ConfigCompositionException) and (match := re.match(r"Could not override '([^']+)'", text)):
        return _no_such_key(match[1].lstrip("+~"), text)
    cause = f" ({str(error.__cause__).splitlines()[0]})" if error.__cause__ and str(error.__cause__) else ""
    if "Unexpected type annotation" in cause:
        return f"{text.removeprefix('Error merging override ')} has a range inside brackets; list its values there"
    return f"{text}{cause}"


# What Hydra says, and what is to be written.
_SENTENCES = (
    (
        r"Ambiguous value for argument '([^'=]+)=.*'",
        "{0} names several values; add -m to run each of them, or write a list as key=[a,b]",
    ),
    (r"Sweep parameters '([^'=]+)=.*' requires --multirun", "{0} names several values; add -m to run each of them"),
    (
        r"Could not append to config\. An item is already at '([^']+)'",
        "{0} is a key of the configuration already; write {0}=… without the plus",
    ),
    (r"(\S+) appears more than once in the final defaults list", "{0} is chosen already; write {0}=… without a plus"),
    (r"Multiple values for experiment\.", "several experiments are given; give one +experiment=…"),
    (r"Missing mandatory value: (\S+)", "{0} is missing, which every run needs; give it a value instead of ~{0}"),
    (
        r"Multiple values for (\S+)\. .*: ([\w.\-]+)'",
        "{0} is given twice, or has an option already; give one, {0}={1} without a plus where it has",
    ),
    (r"force-add of config groups is not supported: '\+\+([^']+)'", "++ is for keys; write {0} or +{0}"),
)


def _no_such_option(file: str, choices: Sequence[str]) -> str:
    group, _, option = file.rpartition("/")
    choices = [choice for choice in choices if choice in toolkit_keys.PLUGINS.get(group, choices)]
    hint = did_you_mean(option, choices)
    listed = ", ".join(choices) if choices else "none (there is no such group)"
    theirs = "; --config-dir names a folder with others (docs/options.md)" if choices else ""
    return f"{group or 'config'}={option} does not exist; {hint}choose one of {listed}{theirs}"


def _no_such_key(key: str, text: str) -> str:
    if key == EXPERIMENT:
        typed = re.search(r"use \+(\S+=\S+)", text)
        return f"{key} needs a plus: write +{typed[1] if typed else f'{key}=…'}"
    if is_group(key):
        return f"{key} is no choice of this model; leave it out or choose another model="
    hint = did_you_mean(key, [*known_keys(), *groups()])
    where = f"`python sweep.py --cfg job` lists them all, and ++{key}=… adds one"
    return f"{key} is not a key of the configuration; {hint}{where}"


def _of_a_sweep(overrides: Sequence[str]) -> list[str]:
    """A sentence where a single run has an experiment, which is a sweep."""
    chosen = [word.lstrip("+") for word in overrides if word.lstrip("+").startswith(f"{EXPERIMENT}=")]
    return [f"This is a single run with the settings of {word}; -m runs the whole experiment." for word in chosen]


def _refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"error: {sentence}\n")
    raise SystemExit(2)
