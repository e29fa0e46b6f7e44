"""Small run stores written as the trainer writes them: the run directory is what analysis reads."""

import copy
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from omegaconf import OmegaConf

from qae import metrics
from qae.run_directory import JsonlWriter, RunDirectory, RunState, RunStatus
from tests.configs import tiny_mapping

PROBLEMS, SAMPLES = 6, 32


@cache
def _default() -> dict[str, object]:
    return tiny_mapping()


def config(changes: Mapping[str, object]) -> dict[str, object]:
    """The embedded task's configuration with dotted keys changed."""
    values = OmegaConf.create(copy.deepcopy(_default()))
    for key, value in changes.items():
        OmegaConf.update(values, key, value, force_add=True)
    result = OmegaConf.to_container(values)
    assert isinstance(result, dict)
    return {str(key): value for key, value in result.items()}


def entropy(step: int, seed: int, k: float) -> float:
    """What the runs below log as entropy."""
    return 0.8 - 0.02 * step + 0.01 * seed + 0.1 * max(k, 0)


def correct(step: int, seed: int, problem: int) -> int:
    """How many of the samples are right."""
    return (3 * step + 5 * seed + 4 * problem) % (SAMPLES + 1)


def write_run(
    root: Path,
    run_id: str,
    changes: Mapping[str, object] | None = None,
    *,
    steps: int = 6,
    evaluate: Iterable[int] = (0, 3, 6),
    status: RunStatus = RunStatus.DONE,
) -> RunDirectory:
    """A run with K and seed from its configuration."""
    values = config(changes or {})
    directory = RunDirectory(root / run_id)
    directory.path.mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(values), directory.config)
    seed, k = int(str(values["seed"])), float(str(OmegaConf.select(OmegaConf.create(values), "algorithm.quantile_k")))
    with JsonlWriter(directory.metrics) as file:
        for step in range(1, steps + 1):
            file.append(step_line(step, seed, k))
    with JsonlWriter(directory.evaluation) as file:
        for step in evaluate:
            file.append(*(evaluation_line(step, seed, problem) for problem in range(PROBLEMS)))
    directory.write_state(RunState(status, step=steps, total_steps=6))
    return directory


def step_line(step: int, seed: int, k: float) -> dict[str, float]:
    """A line of metrics.jsonl."""
    zero = 0.75 if 0 < k < 1 else 0.0
    level = entropy(step, seed, k)
    return {
        "step": step,
        "time": 1000.0 + step,
        metrics.ENTROPY.name: level,
        metrics.ENTROPY_POSITIVE.name: level - 0.01,
        metrics.ENTROPY_NEGATIVE.name: level + 0.02,
        **({metrics.ENTROPY_ZERO.name: level + 0.005} if zero else {}),
        metrics.ZERO_FRACTION.name: zero,
        metrics.POSITIVE_FRACTION.name: (1 - zero) * 0.6,
        metrics.NEGATIVE_FRACTION.name: (1 - zero) * 0.4,
        metrics.LENGTH_MEAN.name: 20.0 + step,
    }


def evaluation_line(step: int, seed: int, problem: int) -> dict[str, int | float | str]:
    """A line of evaluation.jsonl."""
    return {
        "step": step,
        "data_set": "held-out",
        "problem": f"p{problem}",
        "n": SAMPLES,
        "c": correct(step, seed, problem),
        "mean_length": 21.0,
    }


def write_manifest(root: Path, name: str, run_ids: Iterable[str]) -> None:
    """A sweep's list of runs."""
    path = root / "sweeps" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = [{"id": run_id, "overrides": []} for run_id in run_ids]
    path.write_text(json.dumps({"name": name, "command": [], "created": 0.0, "axes": {}, "runs": runs}))


def write_sweep(root: Path, name: str = "demo") -> list[str]:
    """Three arms (the mean, K = 0.4, the mean with symmetric clip) of two seeds each, all done."""
    symmetric = {"labels.regularizer": "clip_symmetric", "actor_rollout_ref.actor.clip_ratio_high": 0.2}
    run_ids = []
    for seed in (0, 1):
        for run_id, changes in (("mean", {}), ("k4", {"algorithm.quantile_k": 0.4}), ("symmetric", symmetric)):
            run_ids.append(write_run(root, f"{run_id}-{seed}", {**changes, "seed": seed}).run_id)
    write_manifest(root, name, run_ids)
    return run_ids
