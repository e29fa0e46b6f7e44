"""Small run stores written as the trainer writes them: the run directory is what analysis reads."""

import copy
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import yaml
from omegaconf import OmegaConf

from qae import metrics
from qae.run_directory import JsonlWriter, RunDirectory, RunState, RunStatus, Scalar, Value
from tests.support.configs import embedded_mapping

PROBLEMS, SAMPLES = 6, 32


@cache
def _default() -> dict[str, object]:
    return embedded_mapping()


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
    """A run with K and seed from its configuration: the default one with some keys changed."""
    return write_configured(root, run_id, config(changes or {}), steps=steps, evaluate=evaluate, status=status)


def write_configured(
    root: Path,
    run_id: str,
    values: Mapping[str, object],
    *,
    steps: int = 6,
    evaluate: Iterable[int] = (0, 3, 6),
    status: RunStatus = RunStatus.DONE,
    data_sets: Iterable[str] = ("held-out",),
) -> RunDirectory:
    """A run with this configuration."""
    directory = RunDirectory(root / run_id)
    directory.path.mkdir(parents=True)
    directory.config.write_text(yaml.safe_dump(dict(values)))
    algorithm = values["algorithm"]
    assert isinstance(algorithm, Mapping)
    seed, k = int(str(values["seed"])), float(str(algorithm["quantile_k"]))
    with JsonlWriter(directory.metrics) as file:
        for step in range(1, steps + 1):
            file.append(step_line(step, seed, k))
    with JsonlWriter(directory.evaluation) as file:
        for step in evaluate:
            for data_set in data_sets:
                file.append(*(evaluation_line(step, seed, problem, data_set) for problem in range(PROBLEMS)))
    with JsonlWriter(directory.tokens) as file:
        file.append(*(token_line(step, seed) for step in range(1, steps + 1)))
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
        metrics.SCORE_MEAN.name: 0.3 + 0.02 * step,
        metrics.CENTRED_ZERO.name: zero,
        metrics.CENTRED_ONE.name: (1 - zero) * 0.6 if zero else 0.0,
        metrics.CENTRED_MINUS_ONE.name: (1 - zero) * 0.4 if zero else 0.0,
        metrics.CENTRED_OTHER.name: 0.0 if zero else 1.0,
    }


def token_line(step: int, seed: int) -> dict[str, Value]:
    """A line of tokens.jsonl."""
    shares = {"so": 0.4 + 0.001 * seed, "wait": 0.1 + 0.01 * step, "7": 0.2}
    tokens: list[dict[str, Scalar]] = [
        {"token": token, "probability": share, "entropy": 1.0, "count": int(100 * share)}
        for token, share in shares.items()
    ]
    return {
        "step": step,
        "tokens": tokens,
        "markers": {"wait": 10 * step + seed, "so": 500, "perhaps": 5},
        "responses": 100,
    }


def evaluation_line(step: int, seed: int, problem: int, data_set: str = "held-out") -> dict[str, int | float | str]:
    """A line of evaluation.jsonl."""
    return {
        "step": step,
        "data_set": data_set,
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
