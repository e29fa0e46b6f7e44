"""Plans that cannot learn are refused in a sentence that names the key and the value, whoever trains."""

import copy
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qae.errors import ConfigError
from sweeps.launching import oddities
from sweeps.launching.plan import Job, make_plan
from sweeps.run_store.store import RunStore
from sweeps.worker import run_checks
from tests.support.configs import embedded_mapping, tiny_mapping, verl_mapping

A, R = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
K = "algorithm.quantile_k"
TABULAR = embedded_mapping()
TINY = tiny_mapping()
VERL = verl_mapping("sweep.dry_run=true")
EACH = pytest.mark.parametrize("base", [TABULAR, TINY, VERL], ids=["tabular", "tiny", "verl"])


def changed(base: Mapping[str, object], key: str, value: object) -> dict[str, Any]:
    config = copy.deepcopy(dict(base))
    section: Any = config
    *path, last = key.split(".")
    for name in path:
        section = section.setdefault(name, {})
    section[last] = value
    return config


def refusal(base: Mapping[str, object], key: str, value: object) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        run_checks.check(changed(base, key, value))
    assert "\n" not in str(refused.value)
    return refused.value


@pytest.mark.slow
@EACH
@pytest.mark.parametrize(
    ("key", "values"),
    [
        (f"{R}.n", [1, 0, -1, 1.5, "many", None, True]),
        (f"{A}.optim.lr", [0, 0.0, -1e-6, math.inf, math.nan, "1e-6", "fast", True, None, [1e-6]]),
        ("trainer.total_training_steps", [0, -1, math.inf, math.nan, "ten", True, None]),
        ("data.train_batch_size", [0, -8, math.inf, "64", None]),
        (f"{A}.ppo_mini_batch_size", [0, 3, 1024, math.nan, "4"]),
        (f"{A}.ppo_epochs", [0, -1, math.inf]),
        (f"{A}.clip_ratio_low", [0, -0.2, math.nan, math.inf, "0.2"]),
        (f"{A}.clip_ratio_high", [0, -0.2, math.nan, math.inf]),
        (f"{A}.clip_ratio_c", [1, 0, -3, math.nan]),
        (f"{A}.grad_clip", [0, -1, math.nan, math.inf]),
        (f"{A}.optim.weight_decay", [-0.1, math.nan, math.inf]),
        (f"{A}.optim.betas", [[0.9, 1.0], [-0.1, 0.9], [math.nan, 0.9]]),
        (f"{R}.temperature", [0, -1, math.nan, math.inf, "1"]),
        (f"{R}.val_kwargs.temperature", [0, math.nan, math.inf]),
        (f"{R}.val_kwargs.n", [0, -1]),
        (f"{R}.top_p", [0, 1.5, math.nan]),
        (f"{R}.val_kwargs.top_p", [0, 1.5, math.nan]),
        ("data.max_response_length", [0, -1, math.inf]),
        ("seed", ["0-4", 1.5, None, True, [0, 1], math.nan]),
        (K, [math.nan, "0.4", None, True, [0.2, 0.4]]),
    ],
)
def test_a_value_with_which_nothing_is_learnt_is_refused(
    base: Mapping[str, object], key: str, values: list[object]
) -> None:
    for value in values:
        assert refusal(base, key, value).key == key, value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.total_epochs", 0),
        ("trainer.val_only", True),
        ("trainer.critic_warmup", 301),
        ("trainer.max_actor_ckpt_to_keep", 0),
        (f"{A}.checkpoint.async_save", True),
        ("data.train_max_samples", 100),
        (f"{A}.optim.clip_grad", 0),
        (f"{A}.optim.lr_warmup_steps_ratio", 1.5),
        (f"{R}.top_k", -2),
        (f"{R}.top_k", 1),
        (f"{R}.gpu_memory_utilization", 0),
        ("algorithm.filter_groups.max_inflight_gen_batches", 0),
    ],
)
def test_what_verl_alone_reads(key: str, value: object) -> None:
    named = "data.train_batch_size" if key == "data.train_max_samples" else key
    assert refusal(VERL, key, value).key == named


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tiny.task.modulus", 1),
        ("tiny.task.markers", 0),
        ("tiny.task.marker_repeat", 1.0),
        ("tiny.task.redo_wrong", 1.0),
        ("tiny.task.reliability", [0, 1]),
        ("tiny.task.evaluation_problems", 10**9),
        ("tiny.model.heads", 3),
        ("tiny.pretrain.batch_size", 10**6),
        ("tiny.pretrain.lr", 0),
        ("tiny.pretrain.seed", -1),
        ("data.reward_noise.flip", 1.5),
    ],
)
def test_what_the_embedded_trainer_alone_reads(key: str, value: object) -> None:
    assert refusal(TINY, key, value).key == key


def test_an_estimator_without_groups_may_have_groups_of_one() -> None:
    alone = changed(VERL, f"{R}.n", 1)
    alone = changed(alone, "algorithm.adv_estimator", "reinforce_plus_plus")
    assert "dynamic sampling" in str(refusal(alone, "algorithm.filter_groups.enable", True))
    run_checks.check(changed(alone, "algorithm.filter_groups.enable", False))


def test_the_only_step_of_a_warm_up_has_no_learning_rate() -> None:
    short = changed(VERL, "trainer.total_training_steps", 1)
    assert refusal(short, f"{A}.optim.lr_warmup_steps", 10).key == f"{A}.optim.lr_warmup_steps"


def test_more_prompts_than_the_set_has_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.parquet" for name in "ab"]
    for file in files:
        pq.write_table(pa.table({"prompt": ["x"] * 300}), file)
    one, both = (changed(VERL, "data.train_files", value) for value in (str(files[0]), [str(file) for file in files]))
    run_checks.check(both)
    error = refusal(one, "data.train_batch_size", 512)
    assert (error.key, error.value) == ("data.train_batch_size", 512)
    assert "300 prompts" in str(error)
    run_checks.check(changed(VERL, "data.train_files", "not/here.parquet"))
    broken = tmp_path / "c.parquet"
    broken.write_text("no parquet")
    run_checks.check(changed(VERL, "data.train_files", str(broken)))


def test_the_generated_set_has_a_size_before_it_is_made() -> None:
    rehearsal = verl_mapping("model=qwen3-random-tiny", "sweep.dry_run=true")
    run_checks.check(rehearsal)
    assert "1024 prompts" in str(refusal(rehearsal, "data.train_batch_size", 2048))


def numeric(section: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from numeric(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}"


def keys_of(base: Mapping[str, object]) -> list[str]:
    read = ("seed", "algorithm", "actor_rollout_ref", "data", "trainer", "tabular", "tiny", "reward")
    return [
        *numeric({name: base[name] for name in read if name in base}),
        *(["actor_rollout_ref.actor.optim.betas"] if base is not VERL else []),
    ]


BREAKING = st.sampled_from([math.nan, math.inf, -math.inf])
STRANGE = st.one_of(
    st.sampled_from([0, -1, 1, 0.5, 1.5, 10**9, 1e300, 1e-300, "", "text", "0.4", True, None]),
    st.integers(),
    st.floats(),
    st.lists(st.floats(), max_size=2),
)


@pytest.mark.slow
@EACH
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_number_is_infinite_or_nan(base: Mapping[str, object], data: st.DataObject) -> None:
    key, value = data.draw(st.sampled_from(keys_of(base))), data.draw(BREAKING)
    if key == K and math.isinf(value):  # the mean, as every K outside (0, 1)
        run_checks.check(changed(base, key, value))
        return
    error = refusal(base, key, value)
    assert error.key == key
    assert repr(value) in str(error)


@pytest.mark.slow
@EACH
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_is_planned_or_refused_by_name(base: Mapping[str, object], data: st.DataObject) -> None:
    key, value = data.draw(st.sampled_from(keys_of(base))), data.draw(STRANGE)
    config = changed(base, key, value)
    try:
        (run,) = make_plan([Job((), config)], RunStore(Path("nowhere")), name="x", retry=False).runs
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017  # either outcome is right
        assert error.key  # noqa: PT017
        return
    rollout = cast("Mapping[str, Any]", run.config["actor_rollout_ref"])["rollout"]
    optim = cast("Mapping[str, Any]", run.config["actor_rollout_ref"])["actor"]["optim"]
    assert run.total_steps >= 1
    assert rollout["n"] >= 2
    assert rollout["temperature"] > 0
    assert 0 < optim["lr"] < math.inf


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (f"{R}.val_kwargs.n", 8, "pass@16"),
        (f"{A}.optim.lr_warmup_steps", 1000, "never reaches its value"),
        ("trainer.test_freq", 0, "no pass@k"),
        ("data.reward_noise.random", 1.0, "no group to learn from"),
        (K, 1.5, "the group's mean"),
        (K, math.inf, "the group's mean"),
    ],
)
def test_what_is_odd_and_legal_is_said_in_the_plan(key: str, value: object, says: str) -> None:
    config = changed(TINY, key, value)
    run_checks.check(config)
    (sentence,) = oddities.of(config)
    assert says in sentence
    assert key in sentence


@EACH
def test_nothing_is_odd_about_the_defaults(base: Mapping[str, object]) -> None:
    assert list(oddities.of(base)) == []
