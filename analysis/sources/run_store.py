"""Run directories as tidy frames: one row a number, and a record a run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from qae.run_directory import RunDirectory, RunStatus, read_evaluations, read_metrics

# Sections that say how to run, not what is computed; they never set arms apart.
_OPERATIONAL = ("tracking", "resources", "sweep", "guard")
_NOT_COMPUTED = ("labels.", "trainer.save_freq")
# Keys that a regularizer or an advantage option sets; its name stands for them.
_SET_BY_OPTION = {
    "regularizer": (
        "actor_rollout_ref.actor.clip_ratio",
        "actor_rollout_ref.actor.policy_loss.",
        "actor_rollout_ref.actor.loss_agg_mode",
    ),
    "advantage": ("algorithm.advantage",),
    "model": ("tiny.", "backend", "actor_rollout_ref.model."),
}
_K = "algorithm.quantile_k"
_DEFINITION = "algorithm.quantile_definition"


@dataclass(frozen=True)
class RunRecord:
    """A run beside its numbers.

    Attributes:
        id: run id.
        arm: name of the arm: all runs that differ in the seed only share it.
        k: K of the quantile, or None under the mean.
        variant: what sets the arm apart besides K, or "".
        seed: training seed.
        status: where the run stands.
        step: its last step on disk.
        damaged: lines of its files that could not be read.
    """

    id: str
    arm: str
    k: float | None
    variant: str
    seed: int
    status: RunStatus
    step: int
    damaged: int


@dataclass(frozen=True)
class Runs:
    """Runs with their numbers.

    Attributes:
        records: a record a run, in the order asked for.
        metrics: columns run, step, name, value.
        evaluations: columns run, step, data_set, problem, n, c, mean_length.
    """

    records: tuple[RunRecord, ...]
    metrics: pd.DataFrame
    evaluations: pd.DataFrame

    @property
    def arms(self) -> dict[str, list[RunRecord]]:
        """Records of each arm: the mean first, then by K, then by what else sets it apart."""
        ordered = sorted(self.records, key=lambda r: (r.variant, r.k is not None, r.k or 0.0, r.seed))
        arms: dict[str, list[RunRecord]] = {}
        for record in ordered:
            arms.setdefault(record.arm, []).append(record)
        return arms

    def series(self, arm: str, name: str) -> pd.DataFrame:
        """A metric of an arm: index step, a column a seed; steps that a run lacks are NaN."""
        ids = {record.id: record.seed for record in self.arms[arm]}
        rows = self.metrics[(self.metrics["name"] == name) & self.metrics["run"].isin(list(ids))]
        wide = rows.pivot_table(index="step", columns="run", values="value", aggfunc="last")
        return wide.rename(columns=ids).sort_index()

    def counts(self, arm: str) -> pd.DataFrame:
        """Evaluation counts of an arm's runs."""
        return self.evaluations[self.evaluations["run"].isin([record.id for record in self.arms[arm]])]


def load(root: Path, run_ids: Sequence[str] | None = None) -> Runs:
    """Read runs, finished or not.

    Args:
        root: the run store.
        run_ids: which ones, in order; all of the store by default.

    Returns:
        what could be read; damaged lines are counted in the records.
    """
    if run_ids is None:
        run_ids = sorted(path.parent.name for path in root.glob("*/config.yaml"))
    directories = [RunDirectory(root / run_id) for run_id in run_ids]
    configs = {directory.run_id: _flat_config(directory) for directory in directories}
    names = _names(configs)
    records: list[RunRecord] = []
    metric_rows: list[tuple[str, int, str, float]] = []
    evaluation_rows: list[dict[str, object]] = []
    for directory in directories:
        lines, evaluations = read_metrics(directory), read_evaluations(directory)
        metric_rows += _metric_rows(directory.run_id, lines.records)
        evaluation_rows += [{"run": directory.run_id, **line} for line in evaluations.records]
        state = directory.read_state()
        k, variant = names[directory.run_id]
        arm = "mean" if k is None else f"K = {k:g}"
        records.append(
            RunRecord(
                id=directory.run_id,
                arm=f"{arm}, {variant}" if variant else arm,
                k=k,
                variant=variant,
                seed=int(str(configs[directory.run_id].get("seed", 0))),
                status=state.status,
                step=state.step,
                damaged=lines.damaged + evaluations.damaged,
            )
        )
    return Runs(
        tuple(records),
        pd.DataFrame(metric_rows, columns=["run", "step", "name", "value"]),
        pd.DataFrame(evaluation_rows, columns=["run", "step", "data_set", "problem", "n", "c", "mean_length"]),
    )


def _metric_rows(run: str, lines: Iterable[Mapping[str, object]]) -> list[tuple[str, int, str, float]]:
    return [
        (run, int(str(line["step"])), name, float(value))
        for line in lines
        for name, value in line.items()
        if name not in ("step", "time") and isinstance(value, int | float)
    ]


def _flat_config(directory: RunDirectory) -> dict[str, object]:
    content = OmegaConf.to_container(OmegaConf.load(directory.config))
    content = {key: value for key, value in dict(content).items() if key not in _OPERATIONAL}
    flat = pd.json_normalize(content, sep=".").iloc[0].to_dict()
    return {str(key): tuple(value) if isinstance(value, list) else value for key, value in flat.items()}


def _names(configs: Mapping[str, Mapping[str, object]]) -> dict[str, tuple[float | None, str]]:
    """K (None under the mean) and the variant of each run, from what differs between the runs at hand."""
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    differing = [key for key in keys if len({config.get(key) for config in configs.values()}) > 1]
    by_option = [
        option for option in _SET_BY_OPTION if len({config.get(f"labels.{option}") for config in configs.values()}) > 1
    ]
    covered = tuple(prefix for option in by_option for prefix in _SET_BY_OPTION[option])
    plain = [
        key
        for key in differing
        if not key.startswith((*_NOT_COMPUTED, *covered)) and key not in (_K, _DEFINITION, "seed")
    ]
    definitions = {config.get(_DEFINITION) for config in configs.values() if _k(config) is not None}
    return {
        run: (_k(config), _variant(config, by_option, plain, definition=len(definitions) > 1))
        for run, config in configs.items()
    }


def _k(config: Mapping[str, object]) -> float | None:
    value = config.get(_K)
    return float(value) if isinstance(value, int | float) and 0 < value < 1 else None


def _variant(config: Mapping[str, object], options: Sequence[str], keys: Sequence[str], *, definition: bool) -> str:
    defaults = {"regularizer": "clip_higher", "advantage": "quantile"}
    parts = [
        str(name) for option in options if (name := config.get(f"labels.{option}")) and name != defaults.get(option)
    ]
    parts += [f"{key.rsplit('.', 1)[-1]}={_short(config.get(key))}" for key in keys]
    if definition and _k(config) is not None:
        parts.append(str(config.get(_DEFINITION)))
    return ", ".join(parts)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
