"""The command that trains more seeds of an arm: read off the sweep that launched its runs, tried, and started.

`sweep.py` is a process of its own here: the analysis reads what sweeps write and imports none of them. The process is
asked for its plan as JSON (`sweep.dry_run=json`), so the launch itself says what it would do, in no table for people.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from analysis.runs.frames import ArmName, Runs
from analysis.sources import SourceError, manifests

_SEED = "seed"


class UnknownCommandError(ValueError):
    """The command that makes an arm is not known; the text is a sentence for the user."""


@dataclass(frozen=True)
class Origin:
    """How an arm's runs were launched.

    Attributes:
        sweep: the name of their sweep.
        settings: the override of each key, without the seed.
        run_id, seed: a run of it, by which a command can be checked.
    """

    sweep: str
    settings: Mapping[str, str]
    run_id: str
    seed: int


@dataclass(frozen=True)
class Command:
    """A sweep of more seeds.

    Attributes:
        overrides: of `sweep.py -m`, without the seeds.
        seeds: to be trained.
        known: run ids and seeds of finished runs that the same overrides must give.
    """

    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    known: Mapping[str, int]

    def __str__(self) -> str:
        return shlex.join(["python", "sweep.py", "-m", *self.arguments(self.seeds)])

    def arguments(self, seeds: Sequence[int]) -> list[str]:
        """What follows `-m`, with these seeds."""
        return [*self.overrides, f"{_SEED}={','.join(map(str, seeds))}"]


def commands(runs: Runs, missing: Mapping[ArmName, Sequence[int]], root: Path) -> list[Command]:
    """The commands that train seeds of arms, one for all arms that lack the same seeds and differ in one key.

    Args:
        runs: with the arms.
        missing: seeds by arm; arms that lack none are left out.
        root: the run store.

    Raises:
        UnknownCommandError: an arm's runs were launched by no sweep of the store.
    """
    groups: dict[tuple[str, tuple[int, ...]], list[Origin]] = {}
    for arm, seeds in missing.items():
        if seeds:
            origin = _origin(runs, arm, root)
            groups.setdefault((origin.sweep, tuple(seeds)), []).append(origin)
    found = []
    for (sweep, seeds), origins in groups.items():
        for settings, known in _merged(origins):
            # Without parts the command line alone says what the sweep is; under its name new runs join the old ones.
            own = ["sweep.parts=[]", f"sweep.name={sweep}", *_root_override(root)]
            found.append(Command((*settings.values(), *own), seeds, known))
    return found


def check(command: Command) -> None:
    """Let `sweep.py` plan the command for seeds that there are, and start nothing.

    Raises:
        UnknownCommandError: the plan does not have their runs, or there is none.
    """
    arguments = command.arguments(sorted(set(command.known.values())))
    asked = _process([*arguments, "sweep.dry_run=json"])
    planned = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603  # our own script
    runs = set() if planned.returncode else {json.loads(line)["id"] for line in planned.stdout.splitlines()}
    strange = [run_id for run_id in command.known if run_id not in runs]
    if strange:
        said = planned.stderr.strip().splitlines()[-1:] if planned.returncode else ["its plan has other runs"]
        raise UnknownCommandError(
            f"`python sweep.py -m {shlex.join(arguments)}` does not give run {strange[0]} again ({''.join(said)}); "
            "launch more seeds with the command that made it"
        )


def start(command: Command) -> int:
    """Start it here and wait; its exit status."""
    return subprocess.run(_process(command.arguments(command.seeds)), check=False).returncode  # noqa: S603  # our own


def _process(arguments: Sequence[str]) -> list[str]:
    spec = find_spec("sweep")
    if spec is None or spec.origin is None:
        raise UnknownCommandError("sweep.py is not installed with this package; run the command in the repository")
    return [sys.executable, spec.origin, "-m", *arguments]


def _origin(runs: Runs, arm: ArmName, root: Path) -> Origin:
    """Of the sweeps that have a run of the arm the one launched last."""
    records = {record.id: record for record in runs.arms[arm]}
    for name in manifests.names(root):
        try:
            manifest = manifests.read(root, name)
        except SourceError:
            continue  # a damaged list of one sweep is no reason to know nothing of the others
        for run_id, record in records.items():
            overrides = manifest.overrides.get(run_id)
            if overrides is not None and manifest.command is not None:
                settings = {**_settings(manifest.command, operational_only=True), **_settings(overrides)}
                return Origin(name, settings, run_id, record.seed)
    raise UnknownCommandError(
        f"no sweep of {root} has a run of {arm.shown}, so the command that makes it is not known; give --root with its "
        "store"
    )


def _settings(overrides: Sequence[str], *, operational_only: bool = False) -> dict[str, str]:
    """Overrides by key; of a typed command those that hold for the whole sweep: one value, not its name or parts."""
    found = {}
    for override in overrides:
        key, sign, value = override.partition("=")
        name = key.lstrip("+~")
        whole = "," not in value or value.startswith(("[", "{", "'", '"'))
        if not sign or name == _SEED or (operational_only and (name.startswith("sweep.") or not whole)):
            continue
        found[name] = override
    return found


def _merged(origins: Sequence[Origin]) -> list[tuple[dict[str, str], dict[str, int]]]:
    """Settings and known runs of one command for all where they differ in one key's value, else of one for each."""
    first = origins[0].settings
    keys = {key for origin in origins for key in origin.settings}
    differing = [key for key in keys if len({origin.settings.get(key) for origin in origins}) > 1]
    together = len(differing) == 1 and all(differing[0] in origin.settings for origin in origins)
    if not together:
        return [(dict(origin.settings), {origin.run_id: origin.seed}) for origin in origins]
    (key,) = differing
    values = [origin.settings[key].partition("=")[2] for origin in origins]
    prefix = first[key].partition("=")[0]
    return [
        ({**first, key: f"{prefix}={','.join(values)}"}, {origin.run_id: origin.seed for origin in origins}),
    ]


def _root_override(root: Path) -> list[str]:
    usual = Path(os.environ.get("QAE_RUNS", "runs"))
    return [] if root == usual else [f"sweep.root={root}"]
