"""Run ids of many configurations, written down once: a change here means that everybody's finished runs run again.

`python -m tests.sweeps.test_golden_ids` writes `golden_ids.json` anew; say so in the changelog where an id changed.
"""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import cast

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from sweeps.composition.compose import compose_jobs
from sweeps.run_store.identity import run_id
from tests.analysis import experiments
from tests.support.configs import TREE

pytestmark = [pytest.mark.slow, pytest.mark.long]
GOLDEN = Path(__file__).parent / "golden_ids.json"
_LR = "actor_rollout_ref.actor.optim.lr"
_OF_VERL = ("qwen3-8b-base", "qwen3-14b-base", "qwen2.5-32b", "qwen3-30b-a3b-base", "qwen3-random-tiny")
_OF_THE_EMBEDDED = ("tabular", "tabular-larger", "tiny", "tiny-wide", "tiny-failures")
_REGULARIZERS = ("clip_higher", "clip_symmetric", "clip_off", "clip_cov", "kl_cov", "gspo", "sapo", "dro")


def typed_jobs() -> Iterator[tuple[str, ...]]:
    """Command lines of single runs."""
    for model, regularizer, k in product((*_OF_THE_EMBEDDED, *_OF_VERL), _REGULARIZERS, ("-1", "0.2", "0.8")):
        yield f"model={model}", f"regularizer={regularizer}", f"algorithm.quantile_k={k}"
    for model, k, seed in product(("tiny", "qwen3-8b-base"), ("-1", "0.4"), ("0", "11")):
        yield f"model={model}", f"algorithm.quantile_k={k}", f"seed={seed}"
    for model, reading in product(_OF_VERL[:-1], ("paper", "dapo_script")):
        yield f"model={model}", f"reading={reading}"
    for model, verifier in product(_OF_VERL[:-1], ("answer", "answer_or_boxed")):
        yield f"model={model}", f"verifier={verifier}"
    for model in ("tiny", "qwen3-8b-base"):
        for more in (
            ("advantage=median",),
            ("advantage=token_mean",),
            ("advantage=pos_mask", "algorithm.quantile_k=0.4"),
            ("advantage=neg_mask", "algorithm.quantile_k=0.4"),
            ("advantage=positive_only",),
            ("advantage=negative_only",),
            ("controller=entropy_band", "algorithm.quantile_k=0.4"),
            ("controller=balance",),
            ("guard=entropy",),
            ("algorithm.quantile_k=0.4", "algorithm.quantile_definition=linear"),
            ("algorithm.quantile_k=0.4", "algorithm.quantile_on=accuracy"),
            ("algorithm.quantile_k=0.40",),
            ("algorithm.quantile_k=.4",),
            ("algorithm.quantile_k=4e-1",),
            ("algorithm.quantile_k=0",),
            ("algorithm.quantile_k=-0.0",),
            ("algorithm.quantile_k=1",),
            ("algorithm.quantile_k=1.0",),
            ("algorithm.quantile_k=1.5",),
            (f"{_LR}=1e-6",),
            (f"{_LR}=0.000001",),
            (f"{_LR}=2.5e-4",),
            ("data.train_batch_size=128", "actor_rollout_ref.actor.ppo_mini_batch_size=8"),
            ("actor_rollout_ref.rollout.n=32",),
            ("trainer.total_training_steps=100",),
        ):
            yield (f"model={model}", *more)


def ids() -> dict[str, object]:
    """The id of every command line, and those of every experiment."""
    with initialize_config_dir(str(TREE), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [], RunMode.MULTIRUN)
        lines = list(typed_jobs())
        single = dict(zip(map(" ".join, lines), map(run_id, compose_jobs(loader, master, lines)), strict=True))
    of_experiments = {name: sorted({run_id(job) for job in experiments.runs_of(name)}) for name in experiments.names()}
    return {"single": single, "experiments": of_experiments}


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    return ids()


@pytest.mark.parametrize("kind", ["single", "experiments"])
def test_ids_are_those_of_before(kind: str, found: dict[str, object]) -> None:
    assert found[kind] == json.loads(GOLDEN.read_text())[kind]


@pytest.mark.parametrize("model", ["tiny", "qwen3-8b-base"])
def test_a_number_has_one_id_however_it_is_typed(model: str, found: dict[str, object]) -> None:
    single = cast("dict[str, str]", found["single"])
    for ways in (
        ("algorithm.quantile_k=0.40", "algorithm.quantile_k=.4", "algorithm.quantile_k=4e-1"),
        ("algorithm.quantile_k=0", "algorithm.quantile_k=-0.0", "algorithm.quantile_k=1", "algorithm.quantile_k=1.0"),
        (f"{_LR}=1e-6", f"{_LR}=0.000001"),
    ):
        assert len({single[f"model={model} {way}"] for way in ways}) == 1


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(ids(), indent=1) + "\n")
