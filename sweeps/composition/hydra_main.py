"""Hydra's command line, with what its jobs return.

`hydra.main` drops what a run or a sweep returns. A command that only shows something goes to it all the same; a command
that runs goes to the `Hydra` object behind it, set up as `hydra.main` sets it up.
"""

import argparse
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, validate_config_path
from hydra.errors import SearchPathException
from hydra.types import RunMode
from omegaconf import DictConfig

from sweeps.composition.tree import TREE

_VERSION_BASE = "1.3"
_CONFIG_NAME = "config"
_JOB_NAME = "app"


def run(argv: Sequence[str]) -> list[JobReturn]:
    """Do what a command line asks Hydra for.

    Args:
        argv: the words after the program's name, which `sys.argv` has too.

    Returns:
        of a single run its composed job, of a sweep what its launcher gave; nothing where something is only shown.

    Raises:
        HydraException, OmegaConfBaseException, ValueError: what Hydra refuses.
    """
    args = get_args_parser().parse_args(list(argv))
    if _is_for_hydra_main(args):
        hydra.main(version_base=_VERSION_BASE, config_path=str(TREE), config_name=_CONFIG_NAME)(_composed)()
        return []
    version.setbase(_VERSION_BASE)
    app = Hydra.create_main_hydra2(task_name=_JOB_NAME, config_search_path=_search_path(args))
    try:
        return _run(app, args)
    finally:
        GlobalHydra.instance().clear()


def _is_for_hydra_main(args: argparse.Namespace) -> bool:
    """Whether a command line runs nothing, or contradicts itself, which `hydra.main` says."""
    shows = (args.help, args.hydra_help, args.cfg, args.resolve, args.info, args.shell_completion)
    return any(shows) or (args.run and args.multirun)


def _composed(_: DictConfig) -> None:
    """Nothing: a single run is launched once Hydra has returned, because Hydra adds a line of its own to errors."""


def _search_path(args: argparse.Namespace) -> ConfigSearchPath:
    validate_config_path(args.config_path)
    # Hydra reads a relative --config-path as a package beside this module's.
    search_path: ConfigSearchPath = create_automatic_config_search_path(None, __name__, args.config_path or str(TREE))
    if args.config_dir is not None:
        folder = os.path.abspath(args.config_dir)  # noqa: PTH100  # as hydra.main names it: without dots, links kept
        if not Path(folder).is_dir():
            raise SearchPathException(f"Additional config directory '{folder}' not found")
        before = SearchPathQuery(provider="schema")
        search_path.prepend(provider="command-line", path=f"file://{folder}", anchor=before)
    return search_path


def _run(app: Hydra, args: argparse.Namespace) -> list[JobReturn]:
    name = args.config_name or _CONFIG_NAME
    mode = app.get_mode(config_name=name, overrides=args.overrides)
    if args.multirun and mode == RunMode.RUN:
        warnings.warn("--multirun overrides hydra.mode=RUN", UserWarning, stacklevel=1)
    multirun = args.multirun or mode == RunMode.MULTIRUN
    overrides = [*args.overrides, f"hydra.mode={'MULTIRUN' if multirun else 'RUN'}"]
    if not multirun:
        return [app.run(config_name=name, task_function=_composed, overrides=overrides)]
    returned = app.multirun(config_name=name, task_function=_composed, overrides=overrides)
    # A sweeper of Hydra's own returns a list for each batch.
    return [job for batch in returned for job in (batch if isinstance(batch, list) else [batch])]
