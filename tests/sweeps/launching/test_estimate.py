"""GPU hours: the arithmetic by hand, what changes them, and how finished runs correct them."""

from pathlib import Path

import pytest

from qae.run_directory import JsonlWriter, RunState, RunStatus
from sweeps.launching.estimate import corrections, gpu_hours, model
from sweeps.launching.plan import Job, make_plan
from sweeps.run_store.identity import run_id
from sweeps.run_store.store import RunStore
from sweeps.verl.cost import Assumptions, step_gpu_seconds
from tests.support.configs import embedded_mapping, verl_mapping

BASE = verl_mapping("sweep.dry_run=true")


def test_a_step_by_hand() -> None:
    assumed = Assumptions(
        peak=1e12, generation=0.1, forward=0.5, training=0.25, response=0.5, prompt=100, kept=0.5, problems=100
    )
    config = {
        "backend": "verl",
        "resources": {"parameters": 1e9},
        "algorithm": {"filter_groups": {"enable": True}},
        "actor_rollout_ref": {"actor": {}, "rollout": {"n": 4, "val_kwargs": {"n": 8}}},
        "data": {"train_batch_size": 10, "max_response_length": 1800},
        "trainer": {"test_freq": 5},
    }
    generated = (40 / 0.5 + 100 * 8 / 5) * 900 * 2e9 / (0.1 * 1e12)
    forward = 40 * 1000 * 2e9 / (0.5 * 1e12)
    training = 40 * 1000 * 6e9 / (0.25 * 1e12)
    assert step_gpu_seconds(config, assumed) == pytest.approx(generated + forward + training)
    assert gpu_hours(config, 300, correction=2) == pytest.approx(2 * 300 * (step_gpu_seconds(config) or 0) / 3600)


@pytest.mark.slow
def test_what_a_run_does_more_costs_more() -> None:
    base = step_gpu_seconds(BASE) or 0
    for override in ("regularizer=kl_penalty", "data.max_response_length=30000", "actor_rollout_ref.rollout.n=32"):
        assert (step_gpu_seconds(verl_mapping(override)) or 0) > base
    for override in ("algorithm.filter_groups.enable=false", "trainer.test_freq=-1", "model=qwen3-30b-a3b-base"):
        assert (step_gpu_seconds(verl_mapping(override)) or 0) < base


@pytest.mark.slow
def test_runs_without_gpus_or_of_unknown_size_have_no_estimate() -> None:
    assert gpu_hours(embedded_mapping(), 60) is None
    assert gpu_hours(verl_mapping("resources.parameters=null"), 300) is None


def finished(store: RunStore, config: dict[str, object], seconds: float) -> None:
    directory = store.create(run_id(config), config)
    with JsonlWriter(directory.metrics) as metrics:
        metrics.append({"step": 1, "timing_s/step": 1000 * seconds})
        metrics.append(*({"step": step, "timing_s/step": seconds} for step in range(2, 40)))
    with directory.metrics.open("ab") as file:
        file.write(b'{"step": 40, "timi')  # torn by a kill
    directory.write_state(RunState(RunStatus.DONE, step=39, total_steps=39))


@pytest.mark.slow
def test_finished_runs_of_the_same_model_correct_the_estimate(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    estimated = step_gpu_seconds(BASE) or 0
    for seed, factor in enumerate((1.5, 2.0, 7.0)):
        finished(store, verl_mapping(f"seed={seed}"), factor * estimated / 32)
    finished(store, embedded_mapping(), 1.0)
    assert corrections(store) == pytest.approx({model(BASE): 2.0})

    other = verl_mapping("seed=9", "sweep.dry_run=true")
    large = verl_mapping("model=qwen3-14b-base", "sweep.dry_run=true")
    plan = make_plan([Job((), other), Job((), large)], store, name="x", retry=False)
    assert plan.runs[0].gpu_hours == pytest.approx(2 * (gpu_hours(other, 300) or 0))
    assert plan.runs[1].gpu_hours == pytest.approx(gpu_hours(large, 300))


@pytest.mark.slow
def test_only_the_steps_to_come_are_counted(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    directory = store.create(run_id(BASE), BASE)
    directory.write_state(RunState(RunStatus.CANCELLED, step=200, total_steps=300, attempt=1))
    (run,) = make_plan([Job((), BASE)], store, name="x", retry=False).runs
    assert run.gpu_hours == pytest.approx(gpu_hours(BASE, 100))
