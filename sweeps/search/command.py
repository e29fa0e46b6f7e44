"""A search from the command line to its end; Hydra's sweeper plug-in calls nothing else."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.types import Override
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from rich.console import Console

from qae.checks import boolean
from qae.console import literal, streams
from qae.console.text import file_name
from qae.errors import ConfigError
from qae.nested import section, value_of
from sweeps.composition import dry_run
from sweeps.composition.dry_run import DryRun
from sweeps.composition.parts import chosen, settled
from sweeps.launching import tables
from sweeps.launching.confirm import Confirmation
from sweeps.launching.executor import Execution, Executor
from sweeps.launching.jobs import axes
from sweeps.launching.launch import Outcome, not_tracked, watching
from sweeps.launching.local import side_by_side
from sweeps.launching.plan import Plan
from sweeps.run_store.identity import identity
from sweeps.run_store.store import RunStore, checked_name
from sweeps.search import samplers, space, warm_start
from sweeps.search.loop import SearchLoop
from sweeps.search.planner import Compose, Planner
from sweeps.search.settings import SearchSettings
from sweeps.search.space import Parameter
from sweeps.search.study import Definition, SharedStudy, owner
from sweeps.worker import tracking

_DEFAULT_NAME = "default"


@dataclass(frozen=True)
class _Search:
    """What the command line asks for, checked.

    Attributes:
        planner: makes runs.
        settings: how to ask and judge.
        definition: what is searched.
        example: the runs of the space's first setting.
        dry_run: whether to stop after showing.
        confirmation: when to ask first.
        tracked: where W&B's rows go; nowhere where W&B is not the tracker.
    """

    planner: Planner
    settings: SearchSettings
    definition: Definition
    example: Plan
    dry_run: bool
    confirmation: Confirmation
    tracked: Sequence[tracking.Destination]

    @property
    def total_steps(self) -> int:
        """Global steps of a run."""
        return self.example.runs[0].total_steps


def search(
    typed: Sequence[Override],
    config: Mapping[str, object],
    compose: Compose,
    make_executor: Callable[[Mapping[str, object]], Executor],
    console: Console,
) -> Outcome:
    """Search, from where the study stands.

    Args:
        typed: the command line's overrides.
        config: what holds for all runs, resolved.
        compose: resolved configurations of lists of overrides.
        make_executor: the place to run, from the configuration of a run.
        console: where tables and progress go.

    Raises:
        ConfigError: something that cannot be searched; nothing was started or written.
        StoreError: the run store is damaged; nothing was started.
    """
    wanted = _read(typed, config, compose)
    executor = make_executor(wanted.example.runs[0].config)
    root, name = wanted.planner.store.root, wanted.planner.name
    described = (*_description(wanted), *_left_out(typed, config), *executor.describe(wanted.example))
    for sentence in (*described, *map(str, wanted.tracked)):
        literal.say(console, sentence)
    if wanted.dry_run:
        console.print("sweep.dry_run=true: nothing was started.")
        return Outcome(root, name, (), 0)
    executor.check(wanted.example.runs)
    with owner(root, name) as me:
        study = SharedStudy(root, name, wanted.definition, wanted.settings, wanted.total_steps, me)
        if wanted.settings.warm_start:
            found = warm_start.find(wanted.planner, wanted.definition.space, wanted.definition.seeds, wanted.settings)
            console.print(f"Warm start: {tables.count(study.warm(found), 'setting')} of the store added as trials.")
        whole = Plan(name, wanted.example.runs * study.left(), ())
        if not wanted.confirmation.holds(whole, console):
            console.print("Nothing was started.")
            return Outcome(root, name, (), 1)

        def say(sentence: str) -> None:
            literal.say(console, sentence)

        loop = SearchLoop(study, wanted.planner, wanted.settings, wanted.definition.seeds, wanted.total_steps, say)
        streams.outlast(watching(root))
        ended = executor.launch(Plan(name, (), ()), console, loop)
        return _outcome(ended, loop, study, wanted, say)


def _read(typed: Sequence[Override], config: Mapping[str, object], compose: Compose) -> _Search:
    """What the command line asks for.

    Raises:
        ConfigError: a value that cannot be used.
    """
    parameters = space.read(typed)
    settings = SearchSettings.of(config, side_by_side(config))
    samplers.check(settings, parameters)
    sweep = section(config, "sweep")
    if sweep.get("wait") is not True:
        raise ConfigError("sweep.wait", sweep.get("wait"), "a search reads results as they come; give true")
    _, tracked = tracking.for_launch([config], sys.argv)
    seeds = space.seeds(typed, config.get("seed"))
    fixed = [line for line in settled(typed) if not line.lstrip("+").startswith(("seed=", "sweep.name="))]
    name = _name(str(sweep["name"]), parameters)
    planner = Planner(
        compose=compose,
        store=RunStore(Path(str(sweep["root"])).expanduser().resolve()),
        name=name,
        fixed=(*fixed, f"sweep.name={name}"),
        axes=axes(fixed),
        varying=tuple(one.name for one in parameters),
        retry=boolean("sweep.retry", sweep.get("retry")),
    )
    lowest = [one.override(one.ends[0]) for one in parameters]
    first, _ = planner.plan(lowest, seeds), planner.plan([one.override(one.ends[1]) for one in parameters], seeds)
    for place, one in enumerate(parameters):
        if isinstance(
            one.distribution, CategoricalDistribution
        ):  # values in no order: each may be one that no run takes
            for value in one.distribution.choices:
                planner.plan([*lowest[:place], one.override(value), *lowest[place + 1 :]], seeds[:1])
    kept = set(planner.varying) | {"seed"}
    base = {key: value for key, value in identity(config).items() if key not in kept}
    return _Search(
        planner,
        settings,
        Definition(parameters, seeds, base),
        first,
        _ends_with_its_description(config),
        Confirmation.of(sweep),
        tracked,
    )


def _ends_with_its_description(config: Mapping[str, object]) -> bool:
    asked = dry_run.of(config)
    if asked is DryRun.AS_JSON:
        raise ConfigError("sweep.dry_run", asked.value, "a search has no list of runs before it asks; give true")
    return asked is DryRun.SHOWN


def _left_out(typed: Sequence[Override], config: Mapping[str, object]) -> list[str]:
    """What the command line chooses and a search does not run."""
    parts = value_of(config, "sweep.parts")
    sentence = (
        "A search takes its settings from the command line: the parts of the experiment (sweep.parts) are left out."
    )
    return [sentence] if parts and chosen(typed) else []


def _description(wanted: _Search) -> list[str]:
    settings, seeds = wanted.settings, wanted.definition.seeds
    goals = ", ".join(objective.name for objective in settings.objectives)
    shown = ", ".join(map(str, seeds))
    trials = tables.count(settings.n_trials, "trial")
    lines = [f"Search '{wanted.planner.name}': {settings.sampler}, {trials}, each judged by {goals} on seed {shown}."]
    lines += [f"  {one.name}: {_shown(one)}" for one in wanted.definition.space]
    lines += [f"  {bound.measure} stays in [{_end(bound.low)}, {_end(bound.high)}]" for bound in settings.constraints]
    if settings.max_steps is not None:
        lines.append(f"  at most {settings.max_steps:,} training steps, {wanted.total_steps} a run")
    return lines


def _shown(one: Parameter) -> str:
    if one.values is not None and len(one.values) <= 12:
        return ", ".join(one.override(value).partition("=")[2] for value in one.values)
    low, high = one.ends
    return f"{low} to {high}" + (" on a logarithmic scale" if getattr(one.distribution, "log", False) else "")


def _end(end: float | None) -> str:
    return "…" if end is None else f"{end:g}"


def _outcome(
    ended: Execution, loop: SearchLoop, study: SharedStudy, wanted: _Search, say: Callable[[str], None]
) -> Outcome:
    name = wanted.planner.name
    for number, sentence in loop.left.items():
        say(f"Trial {number} is left as it is: {sentence}.")
    counts = study.counts()
    states = ", ".join(f"{number} {state.name.lower()}" for state, number in counts.items())
    say(f"Trials of '{name}': {states or 'none'}.")
    for sentence in (*not_tracked(loop.started), *ended.notes):
        say(sentence)
    if ended.interrupted:
        say("Stopped. The same command goes on from here.")
    elif not loop.left and counts.get(TrialState.RUNNING):
        say("Other processes go on with those that run.")
    code = 130 if ended.interrupted else int(bool(loop.left or loop.failed))
    return Outcome(wanted.planner.store.root, name, (), code, is_search=True)


def _name(configured: str, parameters: Sequence[Parameter]) -> str:
    if configured != _DEFAULT_NAME:
        return checked_name(configured)
    words = [one.name.rsplit(".", 1)[-1].replace("/", "-") for one in parameters]
    return checked_name(file_name("-".join(["search", *words]), "search"))
