"""Plans of verl that would train nothing: no step, no gradient, or no group to learn from."""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from qae.checks import is_number, is_whole
from qae.errors import ConfigError

if TYPE_CHECKING:
    from sweeps.verl.values import Run

_A, _R = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
# K outside (0, 1), infinite too, is the mean.
_MAY_BE_INFINITE = ("algorithm.quantile_k",)
# Estimators of verl that compare a response with something else than its group.
_WITHOUT_GROUPS = ("gae", "reinforce_plus_plus", "remax")


def finite(run: "Run") -> None:
    """No number is infinite or NaN."""
    for key, value in run.values.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, float) and not math.isfinite(one) and key not in _MAY_BE_INFINITE:
                raise ConfigError(key, value, "give a finite number")


def optimizer(run: "Run") -> None:
    """Every update moves the weights."""
    for key in (
        f"{_A}.optim.lr",
        f"{_A}.optim.clip_grad",
        f"{_A}.grad_clip",
        f"{_A}.clip_ratio_low",
        f"{_A}.clip_ratio_high",
        f"{_A}.clip_ratio",
    ):
        if run.get(key) is not None:
            run.require(run.number(key) > 0, key, "give a number above 0: nothing would be learnt")
    run.require(run.get(f"{_A}.optim.lr") is not None, f"{_A}.optim.lr", "give a number above 0")
    run.require(run.number(f"{_A}.clip_ratio_c") > 1, f"{_A}.clip_ratio_c", "the dual clip must be above 1")
    run.require(run.number(f"{_A}.optim.weight_decay") >= 0, f"{_A}.optim.weight_decay", "give a number of at least 0")
    betas = run.get(f"{_A}.optim.betas")
    holds = isinstance(betas, list | tuple) and all(is_number(beta) and 0 <= beta < 1 for beta in betas)
    run.require(betas is None or holds, f"{_A}.optim.betas", "give numbers of at least 0 and below 1")
    ratio = run.get(f"{_A}.optim.lr_warmup_steps_ratio")
    run.require(
        ratio is None or (is_number(ratio) and 0 <= ratio < 1),
        f"{_A}.optim.lr_warmup_steps_ratio",
        "give a share of at least 0 and below 1",
    )


def steps(run: "Run") -> None:
    """`fit` in `verl/trainer/ppo/v1/trainer_base.py` comes to an update of the actor."""
    run.count("trainer.total_epochs")
    run.count(f"{_A}.ppo_epochs")
    total = run.count("trainer.total_training_steps")
    run.require(
        not run.get("trainer.val_only"), "trainer.val_only", "the run would end before its first step; set false"
    )
    critic = run.get("trainer.critic_warmup")
    run.require(
        not is_number(critic) or critic <= total,
        "trainer.critic_warmup",
        f"the actor is not updated before it, and the run has trainer.total_training_steps={total}",
    )
    warmup = run.get(f"{_A}.optim.lr_warmup_steps")
    run.require(
        not (total == 1 and is_number(warmup) and warmup > 0),
        f"{_A}.optim.lr_warmup_steps",
        "the learning rate of the first step is 0, and trainer.total_training_steps=1 has no other; give 0",
    )
    kept = run.get("trainer.max_actor_ckpt_to_keep")
    run.require(
        kept is None or (is_whole(kept) and kept >= 1),
        "trainer.max_actor_ckpt_to_keep",
        "give a whole number of at least 1, or null for all",
    )


def groups(run: "Run") -> None:
    """A response is compared with others of its group."""
    key = f"{_R}.n"
    if run.count(key) >= 2:
        return
    compares = run.get("algorithm.adv_estimator") not in _WITHOUT_GROUPS
    fix = "a group of one has no other response to be compared with, so it has no advantage; give at least 2"
    run.require(not compares, key, fix)
    filtering = "a group of one never has both right and wrong responses, which dynamic sampling waits for"
    run.require(
        not run.get("algorithm.filter_groups.enable"), key, f"{filtering}; set algorithm.filter_groups.enable=false"
    )


def sampling(run: "Run") -> None:
    """Shares of the distribution are shares."""
    for key in (f"{_R}.top_p", f"{_R}.val_kwargs.top_p"):
        run.require(0 < run.number(key) <= 1, key, "give a share above 0 and at most 1")
    run.require(
        run.get(f"{_R}.top_k") != 1,
        f"{_R}.top_k",
        "all responses of a group would be the same, and nothing would be learnt; give -1 for all tokens",
    )
    for key in (f"{_R}.top_k", f"{_R}.val_kwargs.top_k"):
        value = run.get(key)
        run.require(is_whole(value) and value >= -1, key, "give a whole number above 0, or -1 for all tokens")
    key = f"{_R}.val_kwargs.temperature"
    run.require(run.number(key) >= 0, key, "give a number of at least 0")
    key = f"{_R}.gpu_memory_utilization"
    run.require(0 < run.number(key) <= 1, key, "give a share above 0 and at most 1")


def prompts(run: "Run") -> None:
    """The training set fills a batch: verl's loader drops what is left over, so a smaller set makes no batch at all."""
    key = "data.train_batch_size"
    batch = run.count(key)
    limit = run.get("data.train_max_samples")
    if is_whole(limit) and limit > 0:
        fix = f"data.train_max_samples={limit} leaves fewer prompts than that"
        run.require(batch <= limit, key, fix)
    generated = run.get("data.gen_batch_size")
    rows = [_rows(path) for path in _files(run.get("data.train_files"))]
    if not rows or any(one is None for one in rows):
        return
    total = sum(one or 0 for one in rows)
    for name, size in {key: batch, "data.gen_batch_size": generated}.items():
        if is_whole(size) and size > total:
            raise ConfigError(name, size, f"data.train_files has {total} prompts; give at most that many")


def _files(value: object) -> Iterator[Path]:
    for file in value if isinstance(value, list | tuple) else [value]:
        yield Path(str(file)).expanduser()


def _rows(path: Path) -> int | None:
    """Rows of a parquet file; None where it is not here, or none."""
    from sweeps.verl.cache import prompts_of

    if (generated := prompts_of(str(path))) is not None:
        return generated
    if path.suffix != ".parquet" or not path.is_file():
        return None
    status = path.stat()
    return _counted(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _counted(path: Path, _changed: int, _size: int) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.ParquetFile(path).metadata.num_rows)
    except (OSError, pa.ArrowInvalid):
        return None


RULES: tuple[Callable[["Run"], None], ...] = (steps, optimizer, groups, sampling, prompts)
